//! `[policy]`

use super::table;
use crate::config::form;
use crate::config::key::Built::Yes;
use crate::config::key::Default::Is;
use crate::config::rule::{Flag, Form, List, OneOf, Size, Whole};
use crate::config::{Endpoint, ImageUrls};
use crate::types::Text;

const REQUEST_KEY: Form<String> =
    Form {
        read: form::request_key, words: &[], is: Text::fixed("the name of a request key", "请求键名")
    };

pub(crate) const ENDPOINTS: &[(&str, Endpoint)] = &[
    ("models", Endpoint::Models),
    ("chat", Endpoint::Chat),
    ("completions", Endpoint::Completions),
    ("embeddings", Endpoint::Embeddings),
    ("responses", Endpoint::Responses),
    ("messages", Endpoint::Messages),
    ("rerank", Endpoint::Rerank),
    ("score", Endpoint::Score),
    ("transcriptions", Endpoint::Transcriptions),
    ("realtime", Endpoint::Realtime),
];

table! {
    POLICY "policy"
    "What may reach the model server." "哪些内容可以到达模型服务。";

    ENABLED "enabled": Flag = Flag, Is("true"), Yes,
        "false must be written out to lose this protection.", "必须明确写出 false 才会失去这层保护。";
    ENDPOINTS_KEY "endpoints": List<OneOf<Endpoint>> = List { item: OneOf(ENDPOINTS), max: 10 }, Is(r#"["models", "chat", "completions", "embeddings"]"#), Yes,
        "What answers under /v1/. Everything else there is 404.",
        "/v1/ 下开放的接口,其余返回 404。";
    MAX_CHOICES "max_choices": Whole<u32> = Whole::between(1, 128), Is("1"), Yes,
        "The largest `n` of a request.", "请求中 `n` 的最大值。";
    MAX_IMAGES "max_images": Whole<u32> = Whole::between(0, 1000), Is("8"), Yes,
        "Images in one request.", "单个请求的图片数。";
    MAX_IMAGE_BYTES "max_image_bytes": Size<u64> = Size::between("1KiB", "1GiB"), Is(r#""20MiB""#), Yes,
        "The bytes of one image, decoded from base64.", "单张图片(base64 解码后)的字节数。";
    MAX_IMAGE_PIXELS "max_image_pixels": Whole<u64> = Whole::between(1024, 1_000_000_000), Is("40000000"), Yes,
        "Width times height of one image, times its frames; all images of a request may have four times as many.", "单张图片的像素数(宽乘高乘帧数);单个请求的全部图片合计不超过其四倍。";
    IMAGE_URLS "image_urls": OneOf<ImageUrls> = OneOf(&[("refuse", ImageUrls::Refuse), ("fetch", ImageUrls::Fetch)]), Is(r#""refuse""#), Yes,
        "Image addresses other than data: are refused, or fetched by Portico from public addresses only and sent on as data:.",
        "data: 以外的图片地址:拒绝(refuse),或由 Portico 仅从公网地址取回并以 data: 转发(fetch)。";
    IMAGE_URL_HOSTS "image_url_hosts": List<Form<String>> = List { item: Form { read: form::host_name, words: &[], is: Text::fixed("a host name", "主机名") }, max: 256 }, Is("[]"), Yes,
        "When not empty, images are fetched from these hosts only, redirects included. Names are exact.", "非空时,只从这些主机取图片(包括重定向);名称须完全一致。";
    STRIP_METADATA "strip_metadata": Flag = Flag, Is("true"), Yes,
        "Takes EXIF, GPS, XMP, IPTC and comments out of JPEG, PNG, WebP and GIF; which side is up and colour profiles stay.", "去除 JPEG、PNG、WebP、GIF 中的 EXIF、GPS、XMP、IPTC 和注释;保留方向与色彩配置。";
    ALLOW_KEYS "allow_keys": List<Form<String>> = List { item: REQUEST_KEY, max: 256 }, Is("[]"), Yes,
        "Request keys that may pass beyond the built-in list.", "内置列表之外允许通过的请求键。";
    DENY_KEYS "deny_keys": List<Form<String>> = List { item: REQUEST_KEY, max: 256 }, Is("[]"), Yes,
        "Request keys that may not pass, whatever the built-in list says.", "不允许通过的请求键,优先于内置列表。";
}
