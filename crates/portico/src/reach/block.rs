//! The page that clouds and carriers in mainland China put in the place of a site whose name has no ICP filing.
//!
//! They go by the name in the request, so the machine itself never hears of it: Tencent Cloud redirects to DNSPod's
//! `webblock.html`, Alibaba Cloud answers 403 as server "Beaver" with the title "Non-compliance ICP Filing", and both
//! reset TLS connections that carry such a name. Let's Encrypt comes from abroad and meets it on port 80.

use memchr::memmem;

/// Nothing but such pages has these, and authorities quote them in their refusals. Lower case.
const SIGNS: [&str; 6] = [
    "dnspod.qcloud.com/static/webblock",
    "webblock.html",
    "non-compliance icp filing",
    "batit.aliyun.com",
    "aliyun.com/beian",
    "beian-block",
];
/// "Not filed", as pages of refusal say it. Ordinary pages name their own filing, so the status has to agree.
const WORDS: [&str; 5] = ["未备案", "尚未备案", "未进行备案", "未完成备案", "没有备案"];
/// "未备案" in GBK.
const GBK: [u8; 6] = [0xce, 0xb4, 0xb1, 0xb8, 0xb0, 0xb8];

/// An answer over HTTP, as far as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'a> {
    pub(super) status: u16,
    pub(super) server: &'a str,
    pub(super) location: &'a str,
    pub(super) body: &'a [u8],
}

pub(super) fn is_block(page: Page<'_>) -> bool {
    let lowered = page.body.to_ascii_lowercase();
    let body = |sign: &str| memmem::find(&lowered, sign.as_bytes()).is_some();
    if is_named_in(page.location) || SIGNS.iter().any(|sign| body(sign)) && page.status != 200 {
        return true;
    }
    let refuses = page.status >= 300 && page.status != 404;
    let is_beaver = page.status == 403 && page.server.trim().eq_ignore_ascii_case("beaver");
    let leads_to_filing = (300..400).contains(&page.status) && page.location.contains("beian");
    is_beaver
        || leads_to_filing
        || refuses && (WORDS.iter().any(|word| body(word)) || memmem::find(page.body, &GBK).is_some())
}

/// Whether an authority's own words quote such a page.
pub(super) fn is_named_in(words: &str) -> bool {
    let lowered = words.to_lowercase();
    SIGNS.iter().any(|sign| lowered.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_pages_are_told_from_ordinary_ones() {
        let gbk = [b"<p>".as_slice(), &GBK, b"</p>"].concat();
        for (status, server, location, body, wanted) in [
            (302, "", "https://dnspod.qcloud.com/static/webblock.html?d=a.example.com", &b""[..], true),
            (403, "Beaver", "", b"", true),
            (403, "", "", b"<title>Non-compliance ICP Filing</title>", true),
            (403, "", "", b"src=\"http://batit.aliyun.com/alww.html\"", true),
            (302, "", "http://beian.cloud.test/block", b"", true),
            (403, "", "", "该网站未备案".as_bytes(), true),
            (403, "", "", &gbk, true),
            // A page of one's own that names its filing.
            (200, "", "", "<a href=\"https://beian.miit.gov.cn/\">京ICP备12345678号</a>".as_bytes(), false),
            (200, "nginx", "", "网站未备案怎么办".as_bytes(), false),
            (404, "nginx", "", "<a href=\"https://beian.miit.gov.cn/\">备案</a>".as_bytes(), false),
            (301, "nginx", "https://a.example.com/", b"", false),
            (403, "nginx", "", b"Forbidden", false),
        ] {
            let page = Page { status, server, location, body };
            assert_eq!(is_block(page), wanted, "{status} {location} {}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn an_authority_quotes_it() {
        assert!(is_named_in(
            "During secondary validation: 203.0.113.7: Invalid response from https://dnspod.qcloud.com/static/webblock.html?d=a.example.com: 566"
        ));
        assert!(!is_named_in("203.0.113.7: Invalid response from http://a.example.com/: 404"));
    }
}
