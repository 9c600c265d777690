//! `portico cert …`

mod trust;

pub(super) use trust::trust;
