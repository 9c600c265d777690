//! Every picture of a request: judged, and put in its place as it is sent.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::kind::Kind;
use super::{Bounds, Metadata, Picture, inspect, inspect_base64, inspect_url};
use crate::api::body::Body;
use crate::api::json::Json;
use crate::config::{ImageUrls, Policy};
use crate::reason::{Reason, Refusal};
use crate::types::{Rope, Text, text};

/// All pictures of a request together may have so many times the pixels that one may have.
const REQUEST_PICTURES: u64 = 4;

/// What was seen of the pictures of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pictures {
    pub(crate) pixels: u64,
    pub(crate) tokens: u64,
    /// Addresses to be fetched, in the order of the holes that they left.
    pub(crate) wanted: Vec<Wanted>,
}

/// A picture that the client gave by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Where the address stands, in the API's notation.
    pub(crate) param: String,
    pub(crate) url: String,
}

/// How a picture stands in the body.
#[derive(Clone, Copy)]
enum Form<'t> {
    Url,
    Base64 { media_type: &'t str },
}

impl Form<'_> {
    fn inspect(self, text: &[u8], known: Range<usize>, bounds: Bounds) -> Result<Picture, super::Fault> {
        match self {
            Form::Url => inspect_url(text, known, bounds),
            Form::Base64 { media_type } => inspect_base64(media_type, text, known, bounds),
        }
    }

    fn is_as_sent(self, picture: &Picture, text: &[u8]) -> bool {
        match self {
            Form::Url => picture.is_as_sent(text),
            Form::Base64 { .. } => picture.edits.is_empty(),
        }
    }

    fn written(self, picture: &Picture, text: &Bytes) -> Rope {
        match self {
            Form::Url => picture.url(text),
            Form::Base64 { .. } => picture.data(text),
        }
    }
}

impl Pictures {
    /// A string that is a `data:` URL, or an address where those are fetched: an image's `url`, or what `input_image`
    /// holds. `body` is what the document was parsed from.
    pub(crate) fn url(
        &mut self,
        slot: &mut Json<'_>,
        body: &Body,
        policy: &Policy,
        at: &dyn fmt::Display,
    ) -> Result<(), Refusal> {
        match slot {
            Json::String(url) if is_address(url) => self.want(slot, policy, at),
            _ => self.inline(Form::Url, slot, body, policy, at),
        }
    }

    /// A string that is the base64 of a picture whose type stands beside it, as in Anthropic's `source`.
    pub(crate) fn base64(
        &mut self,
        media_type: &str,
        slot: &mut Json<'_>,
        body: &Body,
        policy: &Policy,
        at: &dyn fmt::Display,
    ) -> Result<(), Refusal> {
        self.inline(Form::Base64 { media_type }, slot, body, policy, at)
    }

    fn inline(
        &mut self,
        form: Form<'_>,
        slot: &mut Json<'_>,
        body: &Body,
        policy: &Policy,
        at: &dyn fmt::Display,
    ) -> Result<(), Refusal> {
        let judge = |text: &[u8]| form.inspect(text, body.base64().within(text, body), bounds(policy));
        let (text, judged) = match slot {
            // No picture stands behind an escape: where there is one (some writers escape every slash) this fails
            // at once, and the decoded text is judged.
            Json::Source(source) => match judge(source) {
                Err(_) if memchr::memchr(b'\\', source).is_some() => {
                    let text = slot.text().unwrap_or_default().into_owned().into_bytes();
                    let judged = judge(&text);
                    (Cow::Owned(text), judged)
                }
                judged => (Cow::Borrowed(*source), judged),
            },
            Json::String(Cow::Borrowed(text)) => (Cow::Borrowed(text.as_bytes()), judge(text.as_bytes())),
            Json::String(Cow::Owned(text)) => {
                let text = std::mem::take(text).into_bytes();
                let judged = judge(&text);
                (Cow::Owned(text), judged)
            }
            _ => return Ok(()),
        };
        let picture = judged.map_err(|fault| fault.refusal(&at.to_string()))?;
        self.add(&picture, policy, at)?;
        match text {
            Cow::Borrowed(text) if form.is_as_sent(&picture, text) => {}
            Cow::Borrowed(text) => *slot = Json::Written(form.written(&picture, &body.slice_ref(text))),
            Cow::Owned(text) => *slot = Json::Written(form.written(&picture, &text.into())),
        }
        Ok(())
    }

    fn want(&mut self, slot: &mut Json<'_>, policy: &Policy, at: &dyn fmt::Display) -> Result<(), Refusal> {
        let param = at.to_string();
        if policy.image_urls != ImageUrls::Fetch {
            return Err(refusal(
                &param,
                Text::fixed(
                    "Images must be sent inside the request as data: URLs; addresses are not fetched.",
                    "图片必须以 data: URL 的形式放在请求中,不会从地址抓取。",
                ),
            ));
        }
        let url = slot.text().unwrap_or_default().into_owned();
        self.wanted.push(Wanted { param, url });
        *slot = Json::Hole;
        Ok(())
    }

    pub(crate) fn add(
        &mut self,
        picture: &Picture,
        policy: &Policy,
        at: &dyn fmt::Display,
    ) -> Result<(), Refusal> {
        self.pixels = self.pixels.saturating_add(picture.pixels());
        self.tokens = self.tokens.saturating_add(picture.tokens());
        let most = policy.max_image_pixels.saturating_mul(REQUEST_PICTURES);
        if self.pixels > most {
            let says = text!(
                "The images of the request have more than {most} pixels together. Send fewer, or scale them down.",
                "请求中所有图片合计超过 {most} 像素。请减少数量或缩小图片。"
            );
            return Err(refusal(&at.to_string(), says).because("image: pixels of the request"));
        }
        Ok(())
    }
}

/// A picture that was fetched, as it is sent: the same rules as for one that came in the request.
pub(crate) fn inspect_fetched(
    media_type: &str,
    bytes: &[u8],
    policy: &Policy,
    param: &str,
) -> Result<(Picture, Rope), Refusal> {
    let kind = Kind::of_media_type(media_type);
    let judged = kind.ok_or_else(|| {
        super::Fault::new(
            "media_type",
            Text::fixed(
                "What stands at the image's address is not a PNG, JPEG, WebP or GIF by its Content-Type.",
                "图片地址返回的 Content-Type 不是 PNG、JPEG、WebP 或 GIF。",
            ),
        )
    });
    let (picture, text) = judged
        .and_then(|kind| {
            let text = base64_simd::STANDARD.encode_to_string(bytes);
            inspect(kind, text.as_bytes(), 0, 0..0, bounds(policy))
                .map(|picture| (picture, Bytes::from(text)))
        })
        .map_err(|fault| fault.refusal(param))?;
    let url = picture.url(&text);
    Ok((picture, url))
}

fn bounds(policy: &Policy) -> Bounds {
    Bounds {
        max_bytes: policy.max_image_bytes,
        max_pixels: policy.max_image_pixels,
        metadata: if policy.strip_metadata { Metadata::Strip } else { Metadata::Keep },
    }
}

/// Anything that is no `data:` URL but looks like an address; `file:` and others are judged as wrong `data:` URLs.
fn is_address(url: &str) -> bool {
    let begins = |scheme: &str| url.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    begins("http:") || begins("https:")
}

fn refusal(param: &str, says: Text) -> Refusal {
    Refusal::new(Reason::InvalidValue).param(param).saying(says)
}

impl super::Fault {
    fn refusal(self, param: &str) -> Refusal {
        refusal(param, self.says).because(format!("image: {}", self.rule))
    }
}
