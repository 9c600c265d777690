//! Every picture of a request: judged, and put in its place as it is sent.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::kind::Kind;
use super::{Bounds, Metadata, Picture, inspect, inspect_url};
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
        body: &Bytes,
        policy: &Policy,
        at: &dyn fmt::Display,
    ) -> Result<(), Refusal> {
        // One with escapes (some writers escape every slash) is decoded, and is then its own.
        if let Json::Escaped(_) = slot {
            let text = slot.text().unwrap_or_default().into_owned();
            *slot = Json::String(Cow::Owned(text));
        }
        let Json::String(url) = slot else { return Ok(()) };
        if is_address(url) {
            return self.want(slot, policy, at);
        }
        let picture = inspect_url(url, bounds(policy)).map_err(|fault| fault.refusal(&at.to_string()))?;
        self.add(&picture, policy, at)?;
        if !picture.is_as_sent(url) {
            let text = match std::mem::take(url) {
                Cow::Borrowed(text) => body.slice_ref(text.as_bytes()),
                Cow::Owned(text) => Bytes::from(text),
            };
            *slot = Json::Written(picture.url(&text));
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
            inspect(kind, &text, 0, bounds(policy)).map(|picture| (picture, Bytes::from(text)))
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
