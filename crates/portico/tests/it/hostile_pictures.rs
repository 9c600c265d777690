//! Pictures that are made to do harm, or to be read differently by two readers. Each has its verdict: a word of the
//! answer's message.

use std::io::Write as _;
use std::path::Path;

use flate2::{Compression, Crc, write::ZlibEncoder};
use testkit::image::base64;

/// A name, the `image_url.url`, and what the refusal says.
pub(crate) type Case = (String, String, &'static str);

pub(crate) fn all() -> Vec<Case> {
    let mut cases = urls();
    for (kind, more) in [("png", pngs()), ("jpeg", jpegs()), ("webp", webps()), ("gif", gifs())] {
        cases.extend(more.into_iter().map(|(name, bytes, says)| {
            (format!("{kind}: {name}"), format!("data:image/{kind};base64,{}", base64(&bytes)), says)
        }));
    }
    cases.extend(foreign());
    cases
}

/// One that Pillow made; see `tests/corpus/pictures`.
pub(crate) fn good(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/pictures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

type Bad = (&'static str, Vec<u8>, &'static str);

fn urls() -> Vec<Case> {
    let png = base64(&good("plain.png"));
    let shorter = &png[..png.len() - 4];
    let half = png.len() / 8 * 4;
    let (front, back) = png.split_at(half);
    let url = |rest: String| format!("data:image/png;base64,{rest}");
    let case = |name: &str, url: String, says| (format!("url: {name}"), url, says);
    vec![
        case("empty", String::new(), "data:image/png"),
        case("no comma", "data:image/png;base64".to_owned(), "data:image/png"),
        case("no base64", format!("data:image/png,{png}"), "data:image/png"),
        case("a parameter", format!("data:image/png;charset=utf-8;base64,{png}"), "data:image/png"),
        case("a name", format!("data:image/png;name=x.png;base64,{png}"), "data:image/png"),
        case("no type", format!("data:;base64,{png}"), "must be image/png"),
        case("a wildcard", format!("data:image/*;base64,{png}"), "must be image/png"),
        case("a blank before", format!(" data:image/png;base64,{png}"), "data:image/png"),
        case("a blank inside", format!("data: image/png;base64,{png}"), "must be image/png"),
        case("octets", format!("data:application/octet-stream;base64,{png}"), "must be image/png"),
        case("text", format!("data:text/plain;base64,{png}"), "must be image/png"),
        case("frames of a video", format!("data:video/jpeg;base64,{png},{png},{png}"), "Videos are not"),
        case("a second comma", url(format!("{front},{back}")), "base64"),
        case("a second data url", url(format!("{png},data:image/png;base64,{png}")), "base64"),
        case("a line break", url(format!("{front}\n{back}")), "base64"),
        case("a blank", url(format!("{front} {back}")), "base64"),
        case("percent", url(format!("{front}%2B{back}")), "base64"),
        case("the other alphabet", url(format!("{front}-_-_{back}")), "base64"),
        case("a foreign letter", url(format!("{front}\u{e9}\u{e9}{back}")), "base64"),
        case("a full-width letter", url(format!("{front}\u{ff21}A{back}")), "base64"),
        case("padding inside", url(format!("{front}AA=={back}")), "base64"),
        case("no padding", url(format!("{shorter}AA")), "base64"),
        case("too much padding", url(format!("{png}====")), "base64"),
        case("spare bits", url(format!("{shorter}AB==")), "base64"),
        case("nothing behind the comma", url(String::new()), "base64"),
        case("a file", "file:///etc/passwd".to_owned(), "data:image/png"),
        case("another scheme", "ftp://example.com/x.png".to_owned(), "data:image/png"),
        case("an address", "http://169.254.169.254/latest/meta-data".to_owned(), "addresses are not fetched"),
        case("an address over TLS", "HTTPS://example.com/x.png".to_owned(), "addresses are not fetched"),
        case("a png called jpeg", format!("data:image/jpeg;base64,{png}"), "is a PNG"),
        case("a jpeg called png", url(base64(&good("plain.jpg"))), "is a JPEG"),
        case(
            "a webp called gif",
            format!("data:image/gif;base64,{}", base64(&good("lossy.webp"))),
            "is a WebP",
        ),
        case(
            "a gif called webp",
            format!("data:image/webp;base64,{}", base64(&good("plain.gif"))),
            "is a GIF",
        ),
        case("svg", format!("data:image/svg+xml;base64,{}", base64(b"<svg/>")), "SVG"),
        case("heic", format!("data:image/heic;base64,{png}"), "Most Compatible"),
    ]
}

/// Whole files of other kinds that call themselves PNG or JPEG.
fn foreign() -> Vec<Case> {
    let files: [(&str, &[u8], &str); 14] = [
        ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", "SVG"),
        ("html", b"<!doctype html><script>alert(1)</script>", "HTML"),
        ("heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        ("avif", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "AVIF"),
        ("video", b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2", "MP4"),
        ("tiff", b"II*\0\x08\0\0\0\x01\0\0\x01\x03\0", "TIFF"),
        ("big tiff", b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10", "TIFF"),
        ("bmp", b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "BMP"),
        ("jpeg 2000", b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "JPEG 2000"),
        ("jpeg 2000 codestream", b"\xff\x4f\xff\x51\0\x29\0\0\0\0\0\0\0\0\0\0", "JPEG 2000"),
        ("jpeg xl", b"\xff\x0a\xfa\x1f\x41\x91\x08\x06\x01\0\0\0\0\0\0\0", "JPEG XL"),
        ("pdf", b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj", "PDF"),
        ("zip", b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0", "not an image"),
        ("nothing much", b"hello", "not an image"),
    ];
    let case = |(name, bytes, says): &(&str, &[u8], &'static str)| {
        (format!("foreign: {name}"), format!("data:image/png;base64,{}", base64(bytes)), *says)
    };
    files.iter().map(case).collect()
}

fn pngs() -> Vec<Bad> {
    let pixels = chunk(b"IDAT", &packed(&[0; 64]));
    let end = chunk(b"IEND", &[]);
    let file = |chunks: &[Vec<u8>]| [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat()].concat();
    let header = |width: u32, height: u32, rest: [u8; 5]| {
        chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &rest].concat())
    };
    let sized = |width, height| file(&[header(width, height, [8, 2, 0, 0, 0]), pixels.clone(), end.clone()]);
    let with = |more: Vec<Vec<u8>>| {
        let chunks =
            [vec![header(64, 64, [8, 2, 0, 0, 0])], more, vec![pixels.clone(), end.clone()]].concat();
        file(&chunks)
    };
    let kinds = |rest| file(&[header(64, 64, rest), pixels.clone(), end.clone()]);
    let bomb = packed(&vec![b'A'; 2 << 20]);
    let mut wrong_sum = sized(64, 64);
    wrong_sum[20] ^= 1;
    let mut beyond = with(vec![chunk(b"tEXt", b"a\0b")]);
    beyond[33..37].copy_from_slice(&0x7fff_0000_u32.to_be_bytes());
    let plain = good("plain.png");
    let frame = |width: u32, x: u32| {
        let fields =
            [0, width, 48, x, 0].iter().flat_map(|field: &u32| field.to_be_bytes()).collect::<Vec<_>>();
        chunk(b"fcTL", &[fields, vec![0, 1, 0, 10, 0, 0]].concat())
    };
    let frames = |count: u32| chunk(b"acTL", &[count.to_be_bytes(), [0; 4]].concat());
    let many: Vec<_> = std::iter::once(frames(20_000)).chain((0..20_000).map(|_| frame(64, 0))).collect();
    vec![
        ("a bomb of 12,000 x 12,000", sized(12_000, 12_000), "at most 40000000 pixels"),
        ("one long row", sized(1_000_000_000, 28), "at most"),
        ("a size that overflows", sized(0x7fff_ffff, 0x7fff_ffff), "at most"),
        ("a negative size", sized(0xffff_ffff, 64), "no length"),
        ("no width", sized(0, 64), "no length"),
        ("no height", sized(64, 0), "no length"),
        ("one pixel", sized(1, 1), "at least 28"),
        ("27 pixels high", sized(640, 27), "at least 28"),
        ("a thread", sized(28 * 201, 28), "more than 200 times"),
        ("a wrong sum", wrong_sum, "sum of its header"),
        ("3 bits", kinds([3, 2, 0, 0, 0]), "impossible values"),
        ("colour type 5", kinds([8, 5, 0, 0, 0]), "impossible values"),
        ("another compression", kinds([8, 2, 1, 0, 0]), "impossible values"),
        ("another filter", kinds([8, 2, 0, 1, 0]), "impossible values"),
        ("another interlacing", kinds([8, 2, 0, 0, 2]), "impossible values"),
        ("no end", plain[..plain.len() - 12].to_vec(), "cut off"),
        ("half of it", plain[..plain.len() / 2].to_vec(), "cut off"),
        ("only a signature", plain[..8].to_vec(), "cut off"),
        ("a chunk beyond the end", beyond, "cut off"),
        ("two headers", with(vec![header(9000, 9000, [8, 2, 0, 0, 0])]), "twice"),
        (
            "a header that is no first",
            file(&[chunk(b"tEXt", b"a\0b"), header(64, 64, [8, 2, 0, 0, 0]), pixels.clone(), end.clone()]),
            "does not begin",
        ),
        ("no pixels", file(&[header(64, 64, [8, 2, 0, 0, 0]), end.clone()]), "no pixels"),
        ("pixels in two places", with(vec![pixels.clone(), chunk(b"tEXt", b"a\0b")]), "not in one piece"),
        ("an unknown critical chunk", with(vec![chunk(b"EVIL", b"x")]), "unknown extension"),
        ("a chunk without a name", with(vec![chunk(b"\0\0\0\0", b"x")]), "no type"),
        ("two palettes", with(vec![chunk(b"PLTE", &[0; 3]), chunk(b"PLTE", &[0; 3])]), "twice"),
        (
            "a profile that unpacks",
            with(vec![chunk(b"iCCP", &[b"icc\0\0", &bomb[..]].concat())]),
            "unpack to",
        ),
        ("two profiles", with(vec![chunk(b"iCCP", b"icc\0\0"), chunk(b"iCCP", b"icc\0\0")]), "twice"),
        (
            "a text that unpacks",
            with(vec![chunk(b"zTXt", &[b"Comment\0\0", &bomb[..]].concat())]),
            "unpack to",
        ),
        (
            "small texts that unpack together",
            with(vec![chunk(b"zTXt", &[b"Comment\0\0", &packed(&vec![b'A'; 100_000])[..]].concat()); 20]),
            "unpack to",
        ),
        (
            "a hundred packed texts",
            with(vec![chunk(b"zTXt", &[b"a\0\0", &packed(b"b")[..]].concat()); 100]),
            "unpack to",
        ),
        (
            "an international text that unpacks",
            with(vec![chunk(b"iTXt", &[b"Comment\0\x01\0\0\0", &bomb[..]].concat())]),
            "unpack to",
        ),
        ("a frame beyond the canvas", with(vec![frames(1), frame(9000, 0)]), "outside"),
        ("a frame beside the canvas", with(vec![frames(1), frame(64, 60)]), "outside"),
        ("more frames than there are", with(vec![frames(1_000_000), frame(64, 0)]), "as many frames"),
        ("twenty thousand frames", with(many), "at most"),
        ("forty thousand chunks", with(vec![chunk(b"tEXt", b"a\0"); 40_000]), "too many chunks"),
    ]
}

fn jpegs() -> Vec<Bad> {
    let plain = good("plain.jpg");
    let at = |mark: [u8; 2]| plain.windows(2).position(|two| two == mark).unwrap();
    let (sof, sos) = (at([0xff, 0xc0]), at([0xff, 0xda]));
    let changed = |place: usize, bytes: &[u8]| {
        let mut file = plain.clone();
        file[place..place + bytes.len()].copy_from_slice(bytes);
        file
    };
    let put = |place: usize, bytes: &[u8]| [&plain[..place], bytes, &plain[place..]].concat();
    let frame = plain[sof..sof + 19].to_vec();
    let mut large = frame.clone();
    large[5..9].copy_from_slice(&[0x20, 0, 0x20, 0]);
    let scan = &plain[sos..plain.len() - 2];
    let scans = [&plain[..plain.len() - 2], &scan.repeat(120), &plain[plain.len() - 2..]].concat();
    let end = plain.len() - 2;
    vec![
        ("65,000 x 65,000", changed(sof + 5, &[0xfd, 0xe8, 0xfd, 0xe8]), "at most"),
        ("no height", changed(sof + 5, &[0, 0]), "no length"),
        ("no width", changed(sof + 7, &[0, 0]), "no length"),
        ("one pixel", changed(sof + 5, &[0, 1, 0, 1]), "at least 28"),
        ("12 bits", changed(sof + 4, &[12]), "8 bits"),
        ("two channels", changed(sof + 9, &[2]), "channels"),
        ("impossible sampling", changed(sof + 11, &[0x0f]), "sampling"),
        ("lossless", changed(sof + 1, &[0xc3]), "lossless"),
        ("hierarchical", changed(sof + 1, &[0xc5]), "lossless"),
        ("JPEG-LS", changed(sof + 1, &[0xf7]), "lossless"),
        ("arithmetic", changed(sof + 1, &[0xc9]), "arithmetic"),
        ("arithmetic conditioning", put(sof, &[0xff, 0xcc, 0, 2]), "arithmetic"),
        ("a height that comes late", put(sos, &[0xff, 0xdc, 0, 4, 0, 64]), "told late"),
        ("two sizes", put(sos, &large), "size twice"),
        ("a second size behind the scan", put(end, &large), "size twice"),
        ("pixels before the size", [&plain[..sof], &plain[sof + 19..]].concat(), "before its size"),
        ("a hundred and more passes", scans, "passes"),
        ("no end", plain[..end].to_vec(), "cut off"),
        ("cut in the scan", plain[..sos + 100].to_vec(), "cut off"),
        ("no scan", [&plain[..sos], &plain[end..]].concat(), "no pixels"),
        ("a segment beyond the end", put(2, &[0xff, 0xe1, 0xff, 0xff])[..600].to_vec(), "cut off"),
        ("a segment without a length", put(2, &[0xff, 0xe1, 0, 1]), "shorter than its head"),
        ("junk between segments", put(sof, b"junk"), "between its segments"),
        ("a picture in the picture", put(sof, &[0xff, 0xd8]), "second picture"),
        ("an unknown segment", put(sof, &[0xff, 0x02, 0, 2]), "unknown segment"),
        ("five thousand segments", put(2, &[0xff, 0xfe, 0, 2].repeat(5000)), "too many segments"),
    ]
}

fn webps() -> Vec<Bad> {
    let riff = |chunks: &[Vec<u8>]| {
        let content = chunks.concat();
        [
            b"RIFF".to_vec(),
            (u32::try_from(content.len()).unwrap() + 4).to_le_bytes().to_vec(),
            b"WEBP".to_vec(),
            content,
        ]
        .concat()
    };
    let chunk = |kind: &[u8; 4], content: &[u8]| {
        let mut chunk = [&kind[..], &u32::try_from(content.len()).unwrap().to_le_bytes(), content].concat();
        chunk.resize(chunk.len().next_multiple_of(2), 0);
        chunk
    };
    let three = |number: u32| number.to_le_bytes()[..3].to_vec();
    let canvas = |flags: u8, width: u32, height: u32| {
        chunk(b"VP8X", &[vec![flags, 0, 0, 0], three(width - 1), three(height - 1)].concat())
    };
    let lossy = |width: u16, height: u16| {
        chunk(
            b"VP8 ",
            &[&[0x30, 1, 0, 0x9d, 1, 0x2a][..], &width.to_le_bytes(), &height.to_le_bytes(), &[0; 20]]
                .concat(),
        )
    };
    let lossless = |width: u32, height: u32| {
        chunk(b"VP8L", &[&[0x2f][..], &((width - 1) | (height - 1) << 14).to_le_bytes(), &[0; 9]].concat())
    };
    let frame = |x: u32, width: u32, height: u32, inner: Vec<u8>| {
        let head =
            [three(x / 2), three(0), three(width - 1), three(height - 1), three(100), vec![0]].concat();
        chunk(b"ANMF", &[head, inner].concat())
    };
    let plain = good("lossy.webp");
    let mut longer = plain.clone();
    longer.extend(b"trailing");
    let mut broken = riff(&[lossy(64, 64)]);
    broken[23] = 0;
    let many = [vec![canvas(2, 4000, 4000)], vec![frame(0, 4000, 4000, lossless(4000, 4000)); 10]].concat();
    vec![
        ("16,383 x 16,383", riff(&[lossless(16_383, 16_383)]), "at most"),
        (
            "a canvas of 16 million",
            riff(&[canvas(2, 1 << 24, 1 << 24), frame(0, 64, 64, lossy(64, 64))]),
            "at most",
        ),
        ("one pixel", riff(&[lossy(1, 1)]), "at least 28"),
        ("no width", riff(&[lossy(0, 64)]), "no length"),
        ("a length that is too long", plain[..plain.len() - 2].to_vec(), "cut off"),
        ("a length that is too short", longer, "cut off"),
        ("half of it", plain[..plain.len() / 2].to_vec(), "cut off"),
        ("a canvas unlike the picture", riff(&[canvas(0, 64, 64), lossy(4000, 4000)]), "two different sizes"),
        ("two pictures", riff(&[lossy(64, 64), lossy(64, 64)]), "more pictures"),
        ("two canvases", riff(&[canvas(0, 64, 64), canvas(0, 64, 64), lossy(64, 64)]), "more pictures"),
        (
            "a frame without animation",
            riff(&[canvas(0, 64, 64), frame(0, 64, 64, lossy(64, 64))]),
            "more pictures",
        ),
        (
            "a frame unlike its picture",
            riff(&[canvas(2, 64, 64), frame(0, 64, 64, lossy(4000, 64))]),
            "outside",
        ),
        (
            "a frame beyond the canvas",
            riff(&[canvas(2, 64, 64), frame(32, 64, 64, lossy(64, 64))]),
            "outside",
        ),
        ("an empty frame", riff(&[canvas(2, 64, 64), frame(0, 64, 64, Vec::new())]), "outside"),
        ("frames as a bomb", riff(&many), "at most"),
        ("no pixels", riff(&[canvas(0, 64, 64)]), "no pixels"),
        ("metadata first", riff(&[chunk(b"EXIF", b"x"), lossy(64, 64)]), "begin with its picture"),
        ("no key frame", riff(&[chunk(b"VP8 ", &[0x31, 1, 0, 0x9d, 1, 0x2a, 64, 0, 64, 0])]), "valid head"),
        ("a broken start code", broken, "valid head"),
        ("a lossless version to come", riff(&[chunk(b"VP8L", &[0x2f, 63, 0, 16, 0xe0])]), "valid head"),
    ]
}

fn gifs() -> Vec<Bad> {
    let plain = good("plain.gif");
    let changed = |place: usize, bytes: &[u8]| {
        let mut file = plain.clone();
        file[place..place + bytes.len()].copy_from_slice(bytes);
        file
    };
    let table = 3 << ((plain[10] & 7) + 1);
    let frame = 13 + table;
    assert_eq!(plain[frame], 0x2c, "the first frame begins here");
    let end = plain.len() - 1;
    let put = |bytes: &[u8]| [&plain[..end], bytes, &plain[end..]].concat();
    let tiny = [0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x4c, 1, 0];
    let mut large = put(&tiny.repeat(2000));
    large[6..10].copy_from_slice(&[0xe8, 0x03, 0xe8, 0x03]);
    vec![
        ("65,535 x 65,535", changed(6, &[0xff; 4]), "at most"),
        ("no width", changed(6, &[0, 0]), "no length"),
        (
            "one pixel",
            {
                let mut file = changed(6, &[1, 0, 1, 0]);
                file[frame + 5..frame + 9].copy_from_slice(&[1, 0, 1, 0]);
                file
            },
            "at least 28",
        ),
        ("a frame larger than the screen", changed(frame + 5, &[0xff, 0xff]), "outside"),
        ("a frame beside the screen", changed(frame + 1, &[10, 0]), "outside"),
        ("an empty frame", changed(frame + 5, &[0, 0]), "outside"),
        ("impossible codes", changed(frame + 10, &[99]), "impossible codes"),
        ("no trailer", plain[..end].to_vec(), "cut off"),
        ("half of it", plain[..plain.len() / 2].to_vec(), "cut off"),
        ("no frame", [&plain[..frame], b";"].concat(), "no pixels"),
        ("an unknown block", put(b"\x99\0"), "unknown block"),
        ("forty thousand comments", put(&[0x21, 0xfe, 0].repeat(40_000)), "too many blocks"),
        ("two thousand frames of a million pixels", large, "at most"),
    ]
}

fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut sum = Crc::new();
    sum.update(kind);
    sum.update(content);
    let length = u32::try_from(content.len()).unwrap();
    [&length.to_be_bytes()[..], kind, content, &sum.sum().to_be_bytes()].concat()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// A chunk of a PNG, to be put behind its header.
pub(crate) fn png_chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    chunk(kind, content)
}
