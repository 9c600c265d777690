//! Pictures as cameras and programs write them (`tests/corpus/pictures`, made by Pillow): each passes, nothing private
//! is left in it, and real decoders see the same pixels as before.

use std::path::{Path, PathBuf};

use base64_simd::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { max_bytes: 20 << 20, max_pixels: 40_000_000, metadata: Metadata::Strip };
const MARK: &[u8] = b"SECRETMARK";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/pictures")
}

/// Every picture of the corpus, by its name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension != "py"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() > 35, "{} pictures", files.len());
    files
}

fn kind_of(name: &str) -> Kind {
    let extension = name.rsplit('.').next().unwrap();
    Kind::of_media_type(&format!("image/{extension}")).unwrap()
}

fn url(kind: Kind, bytes: &[u8]) -> String {
    format!("{}{}", kind.url_head(), STANDARD.encode_to_string(bytes))
}

fn judged(kind: Kind, bytes: &[u8], bounds: Bounds) -> Result<(Picture, Vec<u8>), Fault> {
    let text = url(kind, bytes);
    let picture = inspect_url(text.as_bytes(), 0..0, bounds)?;
    let sent = picture.url(&Bytes::from(text)).to_vec();
    let payload = sent.strip_prefix(kind.url_head().as_bytes()).expect("the head is the usual one");
    Ok((picture, STANDARD.decode_to_vec(payload).expect("what is sent is base64")))
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(bytes, what).is_some()
}

fn pixels(name: &str, bytes: &[u8]) -> image::RgbaImage {
    image::load_from_memory(bytes).unwrap_or_else(|error| panic!("{name}: {error}")).to_rgba8()
}

#[test]
fn nothing_private_is_left_and_the_pixels_are_the_same() {
    for (name, bytes) in corpus() {
        let (picture, sent) =
            judged(kind_of(&name), &bytes, BOUNDS).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        assert_eq!((picture.width, picture.height), (64, 48), "{name}");
        for private in [MARK, b"GPS", b"Photoshop", b"xmpmeta", b"MPF\0", b"http://ns.adobe.com"] {
            assert!(!contains(&sent, private), "{name} still holds {}", String::from_utf8_lossy(private));
        }
        let before = pixels(&name, &bytes);
        assert_eq!(before.dimensions(), (64, 48));
        assert!(before == pixels(&name, &sent), "{name} looks different");
        // What is sent is judged as it is, and nothing more is found to take out.
        let (again, twice) = judged(kind_of(&name), &sent, BOUNDS).unwrap();
        assert_eq!(twice.len(), sent.len(), "{name}");
        assert_eq!((again.width, again.frames), (picture.width, picture.frames));
    }
}

#[test]
fn a_picture_that_tells_nothing_is_sent_as_it_came() {
    for name in ["plain.jpg", "plain.png", "lossy.webp", "lossless.webp", "plain.gif"] {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let text = url(kind_of(name), &bytes);
        assert!(inspect_url(text.as_bytes(), 0..0, BOUNDS).unwrap().is_as_sent(text.as_bytes()), "{name}");
    }
    for (name, bytes) in corpus() {
        let bounds = Bounds { metadata: Metadata::Keep, ..BOUNDS };
        assert_eq!(judged(kind_of(&name), &bytes, bounds).unwrap().1, bytes, "{name}");
    }
}

#[test]
fn which_side_is_up_is_kept_and_nothing_else_of_exif() {
    for (name, wanted) in [
        ("phone-1.jpg", None),
        ("phone-3.jpg", Some(3)),
        ("phone-6.jpg", Some(6)),
        ("phone-8.jpg", Some(8)),
        ("progressive.jpg", Some(5)),
        ("ultra-hdr.jpg", Some(6)),
        ("mpo.jpg", Some(8)),
        ("texts.png", Some(3)),
        ("palette.png", Some(6)),
        ("alpha.webp", Some(6)),
        ("phone.webp", Some(6)),
        ("upright.webp", None),
    ] {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let (_, sent) = judged(kind_of(name), &bytes, BOUNDS).unwrap();
        let found: Vec<usize> = memchr::memmem::find_iter(&sent, b"MM\0*").collect();
        match wanted {
            Some(wanted) => {
                assert_eq!(found.len(), 1, "{name}: one EXIF");
                assert_eq!(sent[found[0]..].first_chunk(), Some(&exif::minimal(wanted)), "{name}");
            }
            None => assert!(found.is_empty(), "{name}"),
        }
        assert!(!contains(&sent, b"II*\0"), "{name}");
    }
}

#[test]
fn only_groups_around_a_change_are_written_anew() {
    let bytes = std::fs::read(folder().join("phone-6.jpg")).unwrap();
    let text = Bytes::from(url(Kind::Jpeg, &bytes));
    let picture = inspect_url(&text, 0..0, BOUNDS).unwrap();
    let rope = picture.url(&text);
    let own: usize =
        rope.iter().filter(|piece| !text.as_ptr_range().contains(&piece.as_ptr())).map(Bytes::len).sum();
    assert!(own < 150, "{own} bytes of {} are not slices", text.len());
}

#[test]
fn frames_are_counted() {
    for (name, frames) in [("animated.png", 3), ("animated.webp", 3), ("animated.gif", 3), ("plain.gif", 1)] {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let (picture, sent) = judged(kind_of(name), &bytes, BOUNDS).unwrap();
        assert_eq!((picture.frames, picture.pixels()), (frames, u64::from(frames) * 64 * 48), "{name}");
        assert!(sent.len() <= bytes.len());
        let bounds = Bounds { max_pixels: 64 * 48 * u64::from(frames) - 1, ..BOUNDS };
        assert_eq!(judged(kind_of(name), &bytes, bounds).unwrap_err().rule, "pixels", "{name}");
    }
}

/// A reader that stops early or is cut off would go on in what comes after.
#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    for name in [
        "phone-6.jpg",
        "progressive.jpg",
        "texts.png",
        "animated.png",
        "phone.webp",
        "animated.webp",
        "animated.gif",
    ] {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let whole = judged(kind_of(name), &bytes, BOUNDS).unwrap().0;
        for length in 0..bytes.len() {
            if let Ok((picture, _)) = judged(kind_of(name), &bytes[..length], BOUNDS) {
                panic!("{name} passes with {length} of {} bytes: {picture:?} {whole:?}", bytes.len());
            }
        }
    }
}

#[test]
fn an_address_of_a_picture_has_one_spelling() {
    let png = STANDARD.encode_to_string(std::fs::read(folder().join("plain.png")).unwrap());
    let jpeg = STANDARD.encode_to_string(std::fs::read(folder().join("plain.jpg")).unwrap());
    for head in ["data:image/png;base64,", "DATA:IMAGE/PNG;BASE64,", "data:image/PNG;base64,"] {
        let text = Bytes::from(format!("{head}{png}"));
        let picture = inspect_url(&text, 0..0, BOUNDS).unwrap();
        assert_eq!(picture.url(&text).to_vec(), format!("data:image/png;base64,{png}").as_bytes());
        assert_eq!(picture.is_as_sent(&text), head == "data:image/png;base64,");
    }
    let jpg = Bytes::from(format!("data:image/jpg;base64,{jpeg}"));
    let picture = inspect_url(&jpg, 0..0, BOUNDS).unwrap();
    assert_eq!(picture.url(&jpg).to_vec(), format!("data:image/jpeg;base64,{jpeg}").as_bytes());
    assert_eq!(inspect_base64("image/png", png.as_bytes(), 0..0, BOUNDS).unwrap().kind, Kind::Png);
    assert_eq!(inspect_base64("image/jpeg", png.as_bytes(), 0..0, BOUNDS).unwrap_err().rule, "mismatch");
    for (head, rule) in [
        ("data:image/png,", "data_url"),
        ("data:;base64,", "media_type"),
        ("data:,", "data_url"),
        ("data:base64,", "data_url"),
        ("data:image/png;charset=utf-8;base64,", "data_url"),
        ("data:image/png;base64;x=y,", "data_url"),
        ("data:image/png; base64,", "data_url"),
        ("data: image/png;base64,", "media_type"),
        (" data:image/png;base64,", "data_url"),
        ("data:image/png;base64 ,", "data_url"),
        ("data:image/png;base64,,", "base64"),
        ("data:image/png;base64", "data_url"),
        ("data:image/jpeg;base64,", "mismatch"),
        ("data:video/jpeg;base64,", "media_type"),
        ("data:image/svg+xml;base64,", "format"),
        ("data:text/html;base64,", "media_type"),
        ("data:application/octet-stream;base64,", "media_type"),
        ("data:image/*;base64,", "media_type"),
        ("file:///etc/passwd?", "data_url"),
        ("", "data_url"),
    ] {
        let fault = inspect_url(format!("{head}{png}").as_bytes(), 0..0, BOUNDS).unwrap_err();
        assert_eq!(fault.rule, rule, "{head}");
        assert!(fault.says.en.ends_with('.') || fault.says.en.ends_with(')'), "{}", fault.says.en);
    }
}

proptest! {
    /// Whatever happens to a picture's bytes, judging ends, and what passes is still base64 of a picture that passes.
    #[test]
    fn changed_pictures_are_judged_without_harm(which in any::<prop::sample::Index>(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let files = corpus();
        let (name, mut bytes) = files[which.index(files.len())].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok((_, sent)) = judged(kind_of(&name), &bytes, BOUNDS) {
            let again = judged(kind_of(&name), &sent, BOUNDS);
            prop_assert!(again.is_ok(), "{}: {:?}", name, again);
        }
    }

    #[test]
    fn no_bytes_do_harm(head in 0_usize..4, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let heads: [(&[u8], Kind); 4] = [
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Kind::Png),
            (b"\xff\xd8\xff", Kind::Jpeg),
            (b"RIFF\x90\x01\0\0WEBP", Kind::Webp),
            (b"GIF89a", Kind::Gif),
        ];
        let _ = judged(heads[head].1, &[heads[head].0, &bytes[..]].concat(), BOUNDS);
    }
}

/// By hand: `cargo test --release -p portico --lib -- --ignored --nocapture how_long`.
#[test]
#[ignore = "a measurement"]
fn how_long_it_takes() {
    let random = |bytes: usize| {
        let mut state = 1_u32;
        (0..bytes)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect::<Vec<u8>>()
    };
    let noise = image::RgbImage::from_raw(1024, 1000, random(1024 * 1000 * 3)).unwrap();
    let encode = |format| {
        let mut file = std::io::Cursor::new(Vec::new());
        noise.write_to(&mut file, format).unwrap();
        file.into_inner()
    };
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 100).encode_image(&noise).unwrap();
    let gif = {
        let small = image::imageops::resize(&noise, 900, 900, image::imageops::FilterType::Nearest);
        let mut file = Vec::new();
        image::codecs::gif::GifEncoder::new_with_speed(&mut file, 30)
            .encode(&small, 900, 900, image::ExtendedColorType::Rgb8)
            .unwrap();
        file
    };
    for (kind, bytes) in [
        (Kind::Png, encode(image::ImageFormat::Png)),
        (Kind::Jpeg, jpeg),
        (Kind::Webp, encode(image::ImageFormat::WebP)),
        (Kind::Gif, gif),
    ] {
        let text = url(kind, &bytes);
        let mut times: Vec<_> = (0..200)
            .map(|_| {
                let began = std::time::Instant::now();
                std::hint::black_box(inspect_url(text.as_bytes(), 0..0, BOUNDS).unwrap());
                began.elapsed()
            })
            .collect();
        times.sort();
        let mib = text.len() as f64 / f64::from(1 << 20);
        let (median, best) = (times[100], times[0]);
        println!(
            "{kind:?}: {mib:.2} MiB of text, median {median:?} ({:.1} GB/s), best {best:?}",
            text.len() as f64 / median.as_secs_f64() / 1e9
        );
    }
}
