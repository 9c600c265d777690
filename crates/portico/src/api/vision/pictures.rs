//! Every picture of a request: judged, and put in its place as it is sent.

use std::borrow::Cow;

use bytes::Bytes;

use super::kind::Kind;
use super::{Bounds, Metadata, Picture, inspect, inspect_url};
use crate::api::json::{Json, Object};
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

/// Looks at every picture of a chat's messages. `body` is what `object` was parsed from.
pub(crate) fn judge_messages(
    object: &mut Object<'_>,
    body: &Bytes,
    policy: &Policy,
) -> Result<Pictures, Refusal> {
    let mut judge = Judge { body, policy, seen: Pictures::default() };
    if !policy.enabled {
        return Ok(judge.seen);
    }
    let Some(Json::Array(messages)) = object.find_mut("messages") else { return Ok(judge.seen) };
    for (index, message) in messages.iter_mut().enumerate() {
        let Json::Object(message) = message else { continue };
        let Some(Json::Array(parts)) = message.find_mut("content") else { continue };
        for (position, part) in parts.iter_mut().enumerate() {
            let Json::Object(part) = part else { continue };
            if let Some(image) = part.find_mut("image_url") {
                judge.image_url(image, &format!("messages[{index}].content[{position}].image_url"))?;
            }
        }
    }
    Ok(judge.seen)
}

struct Judge<'a> {
    body: &'a Bytes,
    policy: &'a Policy,
    seen: Pictures,
}

impl Judge<'_> {
    /// `{url, detail}`.
    fn image_url(&mut self, image: &mut Json<'_>, at: &str) -> Result<(), Refusal> {
        let Json::Object(image) = image else {
            return Err(refusal(
                at,
                text!("{at} must be an object with a url.", "{at} 必须是带有 url 的对象。"),
            ));
        };
        if let Some((key, _)) = image.0.iter().find(|(key, _)| !matches!(&**key, "url" | "detail")) {
            let says = text!("An image has no field {key}.", "图片没有字段 {key}。");
            return Err(refusal(&format!("{at}.{key}"), says));
        }
        match image.find("detail") {
            None | Some(Json::Null) => {}
            Some(Json::String(detail)) if matches!(&**detail, "auto" | "low" | "high") => {}
            Some(_) => {
                let says =
                    Text::fixed("detail may be auto, low or high.", "detail 只能是 auto、low 或 high。");
                return Err(refusal(&format!("{at}.detail"), says));
            }
        }
        match image.find_mut("url") {
            Some(url @ Json::String(_)) => self.url(url, &format!("{at}.url")),
            _ => {
                let says = Text::fixed("The image has no url.", "图片缺少 url。");
                Err(refusal(&format!("{at}.url"), says))
            }
        }
    }

    /// A string that is a `data:` URL, or an address where those are fetched. Also what `input_image` holds.
    fn url(&mut self, slot: &mut Json<'_>, param: &str) -> Result<(), Refusal> {
        let Json::String(url) = slot else { return Ok(()) };
        if is_address(url) {
            if self.policy.image_urls != ImageUrls::Fetch {
                return Err(refusal(
                    param,
                    Text::fixed(
                        "Images must be sent inside the request as data: URLs; addresses are not fetched.",
                        "图片必须以 data: URL 的形式放在请求中,不会从地址抓取。",
                    ),
                ));
            }
            let url = std::mem::take(url).into_owned();
            self.seen.wanted.push(Wanted { param: param.to_owned(), url });
            *slot = Json::Hole;
            return Ok(());
        }
        let picture = inspect_url(url, bounds(self.policy)).map_err(|fault| fault.refusal(param))?;
        self.seen.add(&picture, self.policy, param)?;
        if !picture.is_as_sent(url) {
            let text = self.shared(std::mem::take(url));
            *slot = Json::Written(picture.url(&text));
        }
        Ok(())
    }

    /// The text as shared bytes: a slice of the body, or its own where it stood there with escapes.
    fn shared(&self, text: Cow<'_, str>) -> Bytes {
        match text {
            Cow::Borrowed(text) => self.body.slice_ref(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        }
    }
}

impl Pictures {
    pub(crate) fn add(&mut self, picture: &Picture, policy: &Policy, param: &str) -> Result<(), Refusal> {
        self.pixels = self.pixels.saturating_add(picture.pixels());
        self.tokens = self.tokens.saturating_add(picture.tokens());
        let most = policy.max_image_pixels.saturating_mul(REQUEST_PICTURES);
        if self.pixels > most {
            let says = text!(
                "The images of the request have more than {most} pixels together. Send fewer, or scale them down.",
                "请求中所有图片合计超过 {most} 像素。请减少数量或缩小图片。"
            );
            return Err(refusal(param, says).because("image: pixels of the request"));
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
