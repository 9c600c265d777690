//! Pages: the built-in one, or a folder of the owner's own.
//!
//! Answers GET and HEAD for everything that is not the API. It decides what a path names (`path`), finds it in the
//! program (`embedded`) or in a folder (`folder`), chooses what to send (`respond`, with `negotiate`, `conditional`
//! and `range`) and sends it (`body`).
//!
//! What it must never do: open anything outside the folder, list a folder, read a file on a data thread, hold more
//! than a chunk of a file for a client, call a file immutable whose name does not change with its content, or answer
//! 200 for what is not there. It knows nothing of identity: whoever calls it has decided that.

mod body;
mod compress;
mod conditional;
mod embedded;
mod error;
mod folder;
mod headers;
mod kinds;
mod negotiate;
mod path;
mod range;
mod respond;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Method, Response};

pub(crate) use self::body::Body;
pub(crate) use self::error::OpenError;
pub(crate) use self::headers::Guards;

use self::compress::Compressor;
use self::embedded::{Asset, Form};
use self::folder::{Folder, Found, Miss};
use self::negotiate::{Accepted, Encoding};
use self::path::PagePath;
use self::respond::{Choice, Content, Facts};
use crate::config;
use crate::reason::{Reason, Refusal};

/// The pages of a site. One for the whole process, behind an `Arc`; a reload opens a new one.
pub(crate) struct Site {
    pages: Pages,
    /// Below the root.
    index: Arc<str>,
    /// Makes the boundaries of multipart answers, which content must not be able to hold.
    boundaries: RandomState,
}

enum Pages {
    BuiltIn(&'static [Asset]),
    Folder(Arc<Folder>, Compressor),
}

/// The document of all pages of identity.
const ACCOUNT: &str = "account.html";

/// Whether a person's browser asks for a page, and not for a part of one.
pub(crate) fn wants_page(method: &Method, headers: &HeaderMap) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && negotiate::wants_page(headers)
}

/// Nothing between the server and this one browser may keep it.
pub(crate) fn keep_private(headers: &mut HeaderMap) {
    let value = match headers.get(CACHE_CONTROL).map(HeaderValue::as_bytes) {
        Some(b"public, max-age=31536000, immutable") => "private, max-age=31536000, immutable",
        Some(b"no-cache") => "private, no-cache",
        _ => return,
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
}

/// What a page needs to know of a request.
pub(crate) struct PageRequest<'a> {
    pub(crate) method: &'a Method,
    /// As it stands in the request target, still encoded, without the query.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
}

impl Site {
    /// Opens the pages that the configuration names. Blocks for a few system calls. To be called after privileges
    /// were dropped, so that a folder which the service's user can't read is found out at start.
    pub(crate) fn open(site: &config::Site) -> Result<Self, OpenError> {
        let config::Site { root, index, names: _, email: _, data_dir: _, user: _, language: _ } = site;
        let index = match PagePath::parse(&format!("/{index}")) {
            Ok(path) if !path.is_folder() => path.file(""),
            _ => return Err(OpenError::BadIndex(index.clone())),
        };
        let pages = match root {
            config::Root::Builtin => {
                let assets = embedded::built_in().ok_or(OpenError::NotBuilt)?;
                if embedded::find(assets, &index).is_none() {
                    return Err(OpenError::NoBuiltInIndex(index));
                }
                Pages::BuiltIn(assets)
            }
            config::Root::Folder(root) => {
                Pages::Folder(Arc::new(Folder::open(root, &index)?), Compressor::new())
            }
        };
        Ok(Self::of(pages, &index))
    }

    /// The built-in pages of identity, whatever the site's own are. `None`: this program has none.
    pub(crate) fn account() -> Option<Self> {
        let assets = embedded::built_in()?;
        embedded::find(assets, ACCOUNT).map(|_| Self::of(Pages::BuiltIn(assets), ACCOUNT))
    }

    fn of(pages: Pages, index: &str) -> Self {
        Self { pages, index: Arc::from(index), boundaries: RandomState::new() }
    }

    /// The fields that every answer of this site carries. Refusals are a few words of plain text and go without.
    fn guards(&self) -> Guards {
        match self.pages {
            Pages::BuiltIn(_) => &headers::BUILT_IN,
            Pages::Folder(..) => &headers::FOLDER,
        }
    }

    /// Answers a request for a page or a file. The request's body is not looked at.
    ///
    /// 405 and 416 carry fields of their own and so are answers, not refusals; their [`Reason`] is in the answer's
    /// extensions. Dropping the future leaves at most one blocking system call or compression running to its end.
    pub(crate) async fn answer(&self, request: &PageRequest<'_>) -> Result<Response<Body>, Refusal> {
        let mut response = if matches!(*request.method, Method::GET | Method::HEAD) {
            let path = PagePath::parse(request.path)
                .map_err(|fault| Refusal::new(Reason::NotFound).because(fault.to_string()))?;
            match &self.pages {
                Pages::BuiltIn(assets) => self.built_in_answer(request, &path, assets)?,
                Pages::Folder(folder, compressor) => {
                    self.folder_answer(request, &path, folder, compressor).await?
                }
            }
        } else {
            respond::method_not_allowed(request.headers)
        };
        for (name, value) in self.guards() {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }

    /// A built-in file in place of what was asked for, which is refused for `reason`. Nothing in between may keep it.
    pub(crate) async fn in_place(
        &self,
        path: &str,
        request: &PageRequest<'_>,
        reason: Reason,
    ) -> Result<Response<Body>, Refusal> {
        let accepted = request.headers.get_all(ACCEPT_ENCODING).iter().cloned();
        let headers: HeaderMap = accepted.map(|value| (ACCEPT_ENCODING, value)).collect();
        let request = PageRequest { method: request.method, path, headers: &headers };
        let mut response = self.answer(&request).await?;
        *response.status_mut() = reason.status();
        let headers = response.headers_mut();
        for name in [ETAG, LAST_MODIFIED, ACCEPT_RANGES] {
            headers.remove(name);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(reason);
        Ok(response)
    }

    fn built_in_answer(
        &self,
        request: &PageRequest<'_>,
        path: &PagePath,
        assets: &'static [Asset],
    ) -> Result<Response<Body>, Refusal> {
        let (name, fallback) = self.names(request, path);
        let (asset, instead) = match embedded::find(assets, &name) {
            Some(asset) => (asset, false),
            None => match fallback.and_then(|index| embedded::find(assets, &index)) {
                Some(asset) => (asset, true),
                None => return Err(missing(&name, "no such file")),
            },
        };
        let tag = |form: &Form| Cow::Borrowed(form.tag);
        let facts = Facts {
            media: asset.media,
            compressible: asset.compressible,
            immutable: asset.immutable,
            instead,
            modified: None,
            length_bytes: asset.plain.bytes.len() as u64,
            plain_tag: tag(&asset.plain),
            brotli_tag: asset.brotli.as_ref().map(tag),
            gzip_tag: asset.gzip.as_ref().map(tag),
        };
        let content = |form: Form| Content::Bytes(Bytes::from_static(form.bytes));
        Ok(match respond::choose(request.method, request.headers, &facts) {
            Choice::Whole(encoding) => {
                let form = match encoding {
                    Some(Encoding::Brotli) => asset.brotli,
                    Some(Encoding::Gzip) => asset.gzip,
                    None => None,
                };
                respond::whole(request.method, &facts, encoding, content(form.unwrap_or(asset.plain)))
            }
            other => self.without_whole(request, &facts, other, content(asset.plain)),
        })
    }

    async fn folder_answer(
        &self,
        request: &PageRequest<'_>,
        path: &PagePath,
        folder: &Arc<Folder>,
        compressor: &Compressor,
    ) -> Result<Response<Body>, Refusal> {
        let (name, fallback) = self.names(request, path);
        let accepted = Accepted::read(request.headers);
        let (folder, looked_for) = (Arc::clone(folder), name.clone());
        let look = move || {
            let wanted: Vec<Encoding> = Encoding::ALL.into_iter().filter(|e| accepted.takes(*e)).collect();
            folder.find(&looked_for, fallback.as_deref(), &wanted)
        };
        let found = tokio::task::spawn_blocking(look)
            .await
            .map_err(|error| Refusal::new(Reason::Internal).because(error.to_string()))?;
        let mut found = found.map_err(|miss| match miss {
            Miss::Absent => missing(&name, "no such file"),
            Miss::Refused(bar) => missing(&name, &bar.text().en),
            Miss::Failed(error) => failed(&name, &error),
        })?;
        let facts = facts_of_file(&found);
        let plain =
            Content::File { file: Arc::clone(&found.plain.file), length_bytes: found.plain.length_bytes };
        let (encoding, content) = match respond::choose(request.method, request.headers, &facts) {
            Choice::Whole(None) => (None, plain),
            Choice::Whole(Some(encoding)) => {
                let content = match found.siblings.iter().position(|(sibling, _)| *sibling == encoding) {
                    Some(at) => {
                        let (_, packed) = found.siblings.swap_remove(at);
                        Content::File { file: packed.file, length_bytes: packed.length_bytes }
                    }
                    None => {
                        let (tag, file, length) =
                            (&found.plain.tag, found.plain.file, found.plain.length_bytes);
                        let packed = compressor.compress(tag, encoding, file, length).await;
                        Content::Bytes(packed.map_err(|error| failed(&name, &error))?)
                    }
                };
                (Some(encoding), content)
            }
            other => return Ok(self.without_whole(request, &facts, other, plain)),
        };
        Ok(respond::whole(request.method, &facts, encoding, content))
    }

    /// Every answer but 200.
    fn without_whole(
        &self,
        request: &PageRequest<'_>,
        facts: &Facts,
        choice: Choice,
        plain: Content,
    ) -> Response<Body> {
        match choice {
            Choice::Whole(encoding) => respond::whole(request.method, facts, encoding, plain),
            Choice::NotModified(encoding) => respond::not_modified(facts, encoding),
            Choice::PreconditionFailed => respond::precondition_failed(),
            Choice::NoSuchRange => respond::no_such_range(request.headers, facts),
            Choice::Parts(parts) => {
                let boundary = format!("portico-{:016x}", self.boundaries.hash_one(&facts.plain_tag));
                respond::parts(facts, &plain, &parts, &boundary)
            }
        }
    }

    /// The file that a path asks for, and the one that answers where it is missing: the index, if the path can be a
    /// page's and the client asks for one. In a folder the file that is named like the index is its index.
    fn names(&self, request: &PageRequest<'_>, path: &PagePath) -> (String, Option<Arc<str>>) {
        let index = match path.is_root() {
            true => &self.index,
            false => self.index.rsplit('/').next().unwrap_or(&self.index),
        };
        let is_page = path.may_be_page() && negotiate::wants_page(request.headers);
        (path.file(index), is_page.then(|| Arc::clone(&self.index)))
    }
}

fn facts_of_file(found: &Found) -> Facts {
    let kind = kinds::kind(&found.name);
    let tag = |encoding: Encoding| {
        let sibling =
            found.siblings.iter().find(|(sibling, _)| *sibling == encoding).map(|(_, packed)| packed);
        let on_the_fly =
            || (kind.compressible && Compressor::suits(found.plain.length_bytes)).then_some(&found.plain);
        let source = sibling.or_else(on_the_fly)?;
        Some(Cow::Owned(format!("\"{}-{}\"", source.tag, encoding.suffix())))
    };
    Facts {
        media: kind.media,
        compressible: kind.compressible,
        immutable: kinds::is_hashed_by_a_bundler(&found.name),
        instead: found.instead,
        modified: found.plain.modified,
        length_bytes: found.plain.length_bytes,
        plain_tag: Cow::Owned(format!("\"{}\"", found.plain.tag)),
        brotli_tag: tag(Encoding::Brotli),
        gzip_tag: tag(Encoding::Gzip),
    }
}

/// The client learns that there is nothing; why, and which file, is for the log.
fn missing(name: &str, why: &str) -> Refusal {
    Refusal::new(Reason::NotFound).because(format!("{why}: {name:?}"))
}

fn failed(name: &str, error: &std::io::Error) -> Refusal {
    Refusal::new(Reason::Internal).because(format!("reading {name:?}: {error}"))
}
