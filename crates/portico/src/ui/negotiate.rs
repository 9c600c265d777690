//! What the client takes: content codings (RFC 9110, 12.5.3) and whether it asks for a page (12.5.1).

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};

/// A content coding that Portico makes or finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Encoding {
    Brotli,
    Gzip,
}

impl Encoding {
    /// In order of preference where the client has none.
    pub(super) const ALL: [Encoding; 2] = [Encoding::Brotli, Encoding::Gzip];

    /// The word in `Content-Encoding`.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Encoding::Brotli => "br",
            Encoding::Gzip => "gzip",
        }
    }

    /// The end of a precompressed sibling's name, and of the entity tag.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Encoding::Brotli => "br",
            Encoding::Gzip => "gz",
        }
    }
}

/// What `Accept-Encoding` allows, as weights in thousandths; 0 is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    brotli: u16,
    gzip: u16,
    identity: u16,
}

impl Accepted {
    /// Without the header the answer is not encoded: whoever asks for nothing is a script that decodes nothing.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let (mut brotli, mut gzip, mut identity, mut any) = (None, None, None, None);
        for (word, weight) in weighted(headers, ACCEPT_ENCODING) {
            let slot = match word.to_ascii_lowercase().as_str() {
                "br" => &mut brotli,
                "gzip" | "x-gzip" => &mut gzip,
                "identity" => &mut identity,
                "*" => &mut any,
                _ => continue,
            };
            slot.get_or_insert(weight);
        }
        Self {
            brotli: brotli.or(any).unwrap_or(0),
            gzip: gzip.or(any).unwrap_or(0),
            // Acceptable unless excluded, but without a weight of its own anything that was named comes first.
            identity: identity.or(any).unwrap_or(1),
        }
    }

    /// Whether the file as it is will do.
    pub(super) fn takes_plain(self) -> bool {
        self.weight(None) > 0
    }

    pub(super) fn takes(self, encoding: Encoding) -> bool {
        self.weight(Some(encoding)) > 0
    }

    /// The best of what there is. `None` is the plain file, also where the client excludes it and nothing else is
    /// there: RFC 9110 allows an answer in spite of that, and a page is of more use than a 406.
    pub(super) fn choose(self, available: impl Fn(Encoding) -> bool) -> Option<Encoding> {
        let candidates = Encoding::ALL.into_iter().filter(|e| available(*e) && self.takes(*e)).map(Some);
        // `max_by_key` keeps the last of equals, so the preferred ones come last.
        let candidates = std::iter::once(None).chain(candidates.rev());
        candidates.max_by_key(|candidate| self.weight(*candidate)).flatten()
    }

    fn weight(self, encoding: Option<Encoding>) -> u16 {
        match encoding {
            Some(Encoding::Brotli) => self.brotli,
            Some(Encoding::Gzip) => self.gzip,
            None => self.identity,
        }
    }
}

/// Whether the client asks for a page: browsers name `text/html`; `*/*` alone is what scripts and monitors send, and
/// they have to see a 404 as one.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    weighted(headers, ACCEPT).any(|(media, weight)| media.eq_ignore_ascii_case("text/html") && weight > 0)
}

/// The items of a list with weights, over all lines of the field. Items that are no text or have a malformed weight
/// are left out: what can't be read was not asked for.
fn weighted(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = (&str, u16)> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(|item| {
        let mut parts = item.split(';').map(|part| part.trim_matches([' ', '\t']));
        let word = parts.next().filter(|word| !word.is_empty())?;
        let weight = parts.find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim_end_matches([' ', '\t']).eq_ignore_ascii_case("q").then(|| thousandths(value))
        });
        Some((word, weight.unwrap_or(Some(1000))?))
    })
}

/// `qvalue`: 0 or 1 with at most three decimals.
fn thousandths(value: &str) -> Option<u16> {
    let (whole, decimals) = value.trim_matches([' ', '\t']).split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let padded = format!("{decimals:0<3}").parse::<u16>().ok()?;
    match (whole.trim_matches([' ', '\t']), padded) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn encodings_follow_the_weights() {
        const BOTH: &[Encoding] = &Encoding::ALL;
        const GZIP: &[Encoding] = &[Encoding::Gzip];
        let (br, gz) = (Some(Encoding::Brotli), Some(Encoding::Gzip));
        for (lines, available, wanted) in [
            (&[][..], BOTH, None),
            (&[""], BOTH, None),
            (&["br"], BOTH, br),
            (&["gzip"], BOTH, gz),
            (&["gzip, deflate, br, zstd"], BOTH, br),
            (&["gzip, deflate, br, zstd"], GZIP, gz),
            (&["gzip, deflate, br, zstd"], &[], None),
            (&["deflate", "gzip"], BOTH, gz),
            (&["br;q=0.5, gzip;q=0.8"], BOTH, gz),
            (&["br;q=0.8, gzip;q=0.8"], BOTH, br),
            (&["BR ; Q=1.000"], BOTH, br),
            (&["br;q=0, gzip;q=0.000"], BOTH, None),
            (&["*"], BOTH, br),
            (&["*;q=0"], BOTH, None),
            (&["*;q=0, gzip"], BOTH, gz),
            (&["br;q=0, *"], BOTH, gz),
            (&["gzip;q=0.5, identity"], BOTH, None),
            (&["gzip;q=0.5, identity;q=0.5"], BOTH, gz),
            (&["gzip;q=0.001"], BOTH, gz),
            (&["identity;q=0, gzip;q=0.1"], BOTH, gz),
            (&["identity;q=0"], BOTH, None),
            (&["identity;q=0, br"], GZIP, None),
            (&["x-gzip"], BOTH, gz),
            (&["br;q=2, gzip"], BOTH, gz),
            (&["br;q=, gzip"], BOTH, gz),
            (&["br;q=0.1234, gzip"], BOTH, gz),
            (&["br;q=-1, gzip;q=1.001"], BOTH, None),
            (&[",,;q=1,br"], BOTH, br),
            (&["brotli"], BOTH, None),
        ] {
            let accepted = Accepted::read(&headers(ACCEPT_ENCODING, lines));
            assert_eq!(accepted.choose(|e| available.contains(&e)), wanted, "{lines:?} of {available:?}");
        }
    }

    #[test]
    fn only_who_names_html_wants_a_page() {
        for (lines, wanted) in [
            (&[][..], false),
            (&["*/*"], false),
            (&["text/*"], false),
            (&["application/json"], false),
            (&["text/html"], true),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], true),
            (&["application/json", "Text/HTML;level=1;q=0.1"], true),
            (&["text/html;q=0"], false),
            (&["text/html;q=0.0, */*"], false),
            (&["text/htmlx"], false),
        ] {
            assert_eq!(wants_page(&headers(ACCEPT, lines)), wanted, "{lines:?}");
        }
    }
}
