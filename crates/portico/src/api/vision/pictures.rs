//! Every picture of a request: judged, and put in its place as it is sent.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::kind::Kind;
use super::{Bounds, Fault, Metadata, Picture, inspect, inspect_base64, inspect_url};
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
        if let Json::String(text) = slot
            && is_address(text)
        {
            return self.want(slot, policy, at);
        }
        let inspect = |url: &[u8], known| inspect_url(url, known, bounds(policy));
        let Some((text, picture)) = judged(slot, body, inspect) else { return Ok(()) };
        let picture = picture.map_err(|fault| fault.refusal(&at.to_string()))?;
        self.add(&picture, policy, at)?;
        if !matches!(text, Cow::Borrowed(text) if picture.is_as_sent(text)) {
            *slot = Json::Written(picture.url(&bytes_of(text, body)));
        }
        Ok(())
    }

    /// The same for a picture whose type and base64 come apart.
    pub(crate) fn base64(
        &mut self,
        media_type: &str,
        slot: &mut Json<'_>,
        body: &Body,
        policy: &Policy,
        at: &dyn fmt::Display,
    ) -> Result<(), Refusal> {
        let inspect = |data: &[u8], known| inspect_base64(media_type, data, known, bounds(policy));
        let Some((text, picture)) = judged(slot, body, inspect) else { return Ok(()) };
        let picture = picture.map_err(|fault| fault.refusal(&at.to_string()))?;
        self.add(&picture, policy, at)?;
        *slot = Json::Written(picture.data(&bytes_of(text, body)));
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

/// A picture's text, and what is made of it.
type Judged<'a> = (Cow<'a, [u8]>, Result<Picture, Fault>);

/// What stands in a slot; nothing where there is no text.
fn judged<'a>(
    slot: &mut Json<'a>,
    body: &Body,
    inspect: impl Fn(&[u8], Range<usize>) -> Result<Picture, Fault>,
) -> Option<Judged<'a>> {
    let inspect = |text: &[u8]| inspect(text, body.base64().within(text, body));
    let owned = |text: Vec<u8>| {
        let picture = inspect(&text);
        Some((Cow::Owned(text), picture))
    };
    match slot {
        // No picture stands behind an escape: where there is one (some writers escape every slash) this fails at
        // once, and the decoded text is judged.
        Json::Source(source) => match inspect(source) {
            Err(_) if memchr::memchr(b'\\', source).is_some() => {
                owned(slot.text().unwrap_or_default().into_owned().into_bytes())
            }
            picture => Some((Cow::Borrowed(*source), picture)),
        },
        Json::String(Cow::Borrowed(text)) => Some((Cow::Borrowed(text.as_bytes()), inspect(text.as_bytes()))),
        Json::String(Cow::Owned(text)) => owned(std::mem::take(text).into_bytes()),
        _ => None,
    }
}

/// What was borrowed lies in the body.
fn bytes_of(text: Cow<'_, [u8]>, body: &Bytes) -> Bytes {
    match text {
        Cow::Borrowed(text) => body.slice_ref(text),
        Cow::Owned(text) => text.into(),
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
        Fault::new(
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

impl Fault {
    fn refusal(self, param: &str) -> Refusal {
        refusal(param, self.says).because(format!("image: {}", self.rule))
    }
}
