//! `[policy]`

use super::gather;
use crate::config::checked::{Endpoint, ImageUrls, Policy};
use crate::config::keys::policy as keys;
use crate::config::problem::{Code, Problem};
use crate::config::reader::Reader;
use crate::types::text;

pub(super) fn policy(file: &mut Reader<'_, '_, '_>) -> Option<Policy> {
    let mut reader = file.section("policy");
    let endpoints = reader.take(&keys::ENDPOINTS_KEY);
    for (index, endpoint) in endpoints.iter().flatten().enumerate() {
        judge_endpoint(&mut reader, endpoints.as_deref().unwrap_or_default(), index, *endpoint);
    }
    let image_urls = reader.take(&keys::IMAGE_URLS);
    let hosts = reader.take(&keys::IMAGE_URL_HOSTS);
    if image_urls == Some(ImageUrls::Refuse) && hosts.as_ref().is_some_and(|hosts| !hosts.is_empty()) {
        let spot = reader.spot_of(&keys::IMAGE_URL_HOSTS);
        reader.judge.push(
            Problem::warning(
                Code::NoEffect,
                &spot,
                text!(
                    "`policy.image_url_hosts` has no effect: image addresses are refused",
                    "`policy.image_url_hosts` 不起作用:图片地址一律被拒绝"
                ),
            )
            .label(text!("it needs image_urls = \"fetch\"", "需要 image_urls = \"fetch\"")),
        );
    }
    gather!(Policy {
        enabled: reader.take(&keys::ENABLED),
        endpoints: endpoints,
        max_choices: reader.take(&keys::MAX_CHOICES),
        max_images: reader.take(&keys::MAX_IMAGES),
        max_image_bytes: reader.take(&keys::MAX_IMAGE_BYTES),
        max_image_pixels: reader.take(&keys::MAX_IMAGE_PIXELS),
        image_urls: image_urls,
        image_url_hosts: hosts,
        strip_metadata: reader.take(&keys::STRIP_METADATA),
        allow_keys: reader.take(&keys::ALLOW_KEYS),
        deny_keys: reader.take(&keys::DENY_KEYS),
    })
}

fn judge_endpoint(reader: &mut Reader<'_, '_, '_>, all: &[Endpoint], index: usize, endpoint: Endpoint) {
    let spot = reader.spot_of_item(&keys::ENDPOINTS_KEY, index);
    let first = all.iter().position(|other| *other == endpoint).unwrap_or(index);
    if first < index {
        let earlier = reader.spot_of_item(&keys::ENDPOINTS_KEY, first);
        reader.judge.push(
            Problem::error(Code::Duplicate, &spot, text!("this endpoint is written twice", "该接口写了两次"))
                .also(&earlier, text!("first here", "第一次在此")),
        );
    }
}
