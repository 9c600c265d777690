//! The built-in page: files that `build.rs` put into the program, compressed beforehand.

/// One file of the built-in page. Tags are quoted and differ from form to form.
pub(super) struct Asset {
    /// Below the root, without leading slash.
    pub(super) path: &'static str,
    pub(super) media: &'static str,
    pub(super) compressible: bool,
    /// Named after its content.
    pub(super) immutable: bool,
    pub(super) plain: Form,
    pub(super) brotli: Option<Form>,
    pub(super) gzip: Option<Form>,
}

/// The bytes of one encoding and their entity tag.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) bytes: &'static [u8],
    pub(super) tag: &'static str,
}

#[cfg(feature = "page")]
mod generated {
    use super::{Asset, Form};

    include!(concat!(env!("OUT_DIR"), "/page.rs"));
}

/// The files of the built-in page, by path; `None` in a build without it.
pub(super) fn built_in() -> Option<&'static [Asset]> {
    #[cfg(feature = "page")]
    return Some(generated::ASSETS);
    #[cfg(not(feature = "page"))]
    return None;
}

/// A table holds a dozen files, so a search from the front is as good as any.
pub(super) fn find(assets: &'static [Asset], name: &str) -> Option<&'static Asset> {
    assets.iter().find(|asset| asset.path == name)
}
