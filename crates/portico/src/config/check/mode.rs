//! Whether the file describes local mode, which decides several defaults.

use crate::config::checked::{Access, Site};
use crate::config::keys::listen as keys;
use crate::config::reader::Reader;

/// No names, no networks, no htpasswd, no trusted proxies, and no listener written that is not loopback. `None`: it can't
/// be told, because one of these is wrong.
pub(super) fn is_local(
    file: &mut Reader<'_, '_, '_>,
    site: Option<&Site>,
    access: Option<&Access>,
) -> Option<bool> {
    let (site, access) = (site?, access?);
    let mut reader = file.section("listen");
    let written = [reader.take_written(&keys::HTTP).ok()?, reader.take_written(&keys::HTTPS).ok()?];
    let proxies = reader.take_written(&keys::TRUSTED_PROXIES).ok()?;
    let is_loopback =
        written.iter().flatten().flatten().all(|address| address.ip().to_canonical().is_loopback());
    Some(
        site.names.is_empty()
            && access.htpasswd.is_none()
            && access.allow.is_empty()
            && access.deny.is_empty()
            && proxies.is_none_or(|proxies| proxies.is_empty())
            && is_loopback,
    )
}
