//! Name servers, and questions to them.

pub mod question;
