//! Pictures in a request, wherever an API puts them. Every place comes through here: what one of them refuses, all do.

use super::Operation;
use super::json::{Json, Object};
use super::judge::{At, Judge, invalid, word, wrong_type};
use crate::reason::Refusal;
use crate::types::{Text, text};

/// What a picture without a `data:` URL may say that it is.
const MEDIA_TYPES: &[&str] = &["image/png", "image/jpeg", "image/webp", "image/gif"];

impl Judge<'_> {
    /// A picture that is given as one string: `image_url.url`, `input_image.image_url`, Anthropic's `source.url`.
    /// Judged, and put in its place as it is sent.
    pub(super) fn picture_url(&mut self, url: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
        self.found.images += 1;
        match url {
            Json::String(text) => self.found.image_url_bytes += text.len(),
            Json::Source(source) => self.found.image_url_bytes += source.len(),
            _ => return Err(invalid(at, text!("The image has no url.", "图片缺少 url。"))),
        }
        self.found.pictures.url(url, self.body, self.policy, &at)
    }

    /// A picture whose type and base64 come apart: Anthropic's `source`. Model servers paste the two together to a
    /// `data:` URL, so nothing in them may be anything else.
    pub(super) fn picture_base64(
        &mut self,
        media_type: &Json<'_>,
        data: &mut Json<'_>,
        at: At<'_>,
    ) -> Result<(), Refusal> {
        self.found.images += 1;
        let media_type = word(media_type, at.field("media_type"), MEDIA_TYPES)?;
        let at = at.field("data");
        match data {
            Json::String(text) => self.found.image_url_bytes += text.len(),
            Json::Source(source) => self.found.image_url_bytes += source.len(),
            other => return Err(wrong_type(at, other, Text::fixed("a string", "字符串"))),
        }
        self.found.pictures.base64(media_type, data, self.body, self.policy, &at)
    }

    /// Called when all that may hold pictures has been seen.
    pub(super) fn enough_images(&self, at: At<'_>) -> Result<(), Refusal> {
        let (images, most) = (self.found.images, self.policy.max_images);
        if images <= most {
            return Ok(());
        }
        Err(invalid(
            at,
            text!(
                "There are {images} images in the request; at most {most} are accepted.",
                "请求中有 {images} 张图片,最多接受 {most} 张。"
            ),
        ))
    }
}

/// The number of pictures where nobody judges the parts.
pub(super) fn count(operation: Operation, object: &Object<'_>) -> u32 {
    match object.find(operation.prompt_key()) {
        Some(Json::Array(items)) => items.iter().map(pictures).fold(0, u32::saturating_add),
        _ => 0,
    }
}

/// In a message, an item, or a result of a tool, which holds parts of its own.
fn pictures(value: &Json<'_>) -> u32 {
    let Json::Object(part) = value else { return 0 };
    let is_one = part.find("image_url").is_some()
        || matches!(part.find("type"), Some(Json::String(kind)) if kind == "image");
    let inside = [part.find("content"), part.find("output")].into_iter().flatten().map(|parts| match parts {
        Json::Array(parts) => parts.iter().map(pictures).fold(0, u32::saturating_add),
        _ => 0,
    });
    inside.fold(u32::from(is_one), u32::saturating_add)
}
