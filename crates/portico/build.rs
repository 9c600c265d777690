//! Puts the built-in page into the program: every file of `ui/dist`, compressed as well as it can be, with its entity
//! tags, as one static table that `src/ui/embedded.rs` includes.

#[path = "src/ui/kinds.rs"]
mod kinds;

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

type Failure = Box<dyn Error>;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/ui/kinds.rs");
    if std::env::var_os("CARGO_FEATURE_PAGE").is_none() {
        return;
    }
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/dist");
    // A folder is watched with everything in it; one that is missing makes the next build ask again.
    println!("cargo::rerun-if-changed={}", dist.display());
    if !dist.join("chat.html").is_file() {
        // `cargo::error` fails the build by itself, and without the noise of a script that ends badly.
        println!(
            "cargo::error=ui/dist does not hold the built-in page. Make it with `(cd ui && npm ci && npm run build)`, \
             or build without it: `--no-default-features` (then `site.root` must name a folder of pages)."
        );
    } else if let Err(error) = embed(&dist) {
        println!("cargo::error=embedding ui/dist: {error}");
    }
}

/// Writes `page.rs` and the files that it includes.
fn embed(dist: &Path) -> Result<(), Failure> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let store = out.join("page");
    fs::create_dir_all(&store)?;
    let mut names = Vec::new();
    collect(dist, "", &mut names)?;
    names.sort();

    let mut table = String::from("pub(super) static ASSETS: &[Asset] = &[\n");
    let mut used = Vec::new();
    for name in &names {
        let plain = fs::read(dist.join(name)).map_err(|error| format!("{name}: {error}"))?;
        if name.ends_with(".html") {
            check_references(name, &String::from_utf8_lossy(&plain), &names)?;
        }
        table.push_str(&asset(name, &plain, &store, &mut used)?);
    }
    table.push_str("];\n");
    fs::write(out.join("page.rs"), table)?;

    // What an earlier build left behind.
    for entry in fs::read_dir(&store)? {
        let entry = entry?;
        if !used.iter().any(|name| entry.file_name() == name.as_str()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The names of all files below `folder`, with slashes. Hidden ones could not be asked for and stay out.
fn collect(root: &Path, folder: &str, names: &mut Vec<String>) -> Result<(), Failure> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| format!("{name:?} is not UTF-8"))?;
        if name.starts_with('.') {
            continue;
        }
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        match entry.file_type()? {
            kind if kind.is_dir() => collect(root, &path, names)?,
            kind if kind.is_file() => names.push(path),
            _ => return Err(format!("{path} is neither a file nor a folder").into()),
        }
    }
    Ok(())
}

/// A page that names a file which is not there was read while the UI build was writing, or is half of an old one.
fn check_references(page: &str, text: &str, names: &[String]) -> Result<(), Failure> {
    let mut quoted = text
        .split(['"', '\''])
        .filter_map(|text| text.strip_prefix('/'))
        .filter(|path| kinds::ASSET_FOLDERS.iter().any(|folder| path.starts_with(folder)));
    match quoted.find(|asset| !names.iter().any(|name| name == asset)) {
        Some(missing) => {
            Err(format!("{page} names /{missing}, which is not there: run `npm run build` in ui/").into())
        }
        None => Ok(()),
    }
}

/// What fits into one packet is not there sooner for being smaller; and a page is left alone by attacks that measure how well
/// it compresses (BREACH).
const ONE_PACKET_BYTES: usize = 1400;

/// One row of the table. Its files are named after the content, so that what is there need not be made again.
fn asset(name: &str, plain: &[u8], store: &Path, used: &mut Vec<String>) -> Result<String, Failure> {
    let hash = format!("{:032x}", fnv128(plain));
    let kind = kinds::kind(name);
    let mut row = String::new();
    writeln!(row, "    Asset {{")?;
    writeln!(row, "        path: {name:?},")?;
    writeln!(row, "        media: {:?},", kind.media)?;
    writeln!(row, "        compressible: {},", kind.compressible)?;
    writeln!(row, "        immutable: {},", kinds::is_hashed_by_our_build(name))?;
    let stored = format!("{hash}.plain");
    store_once(store, &stored, || Ok(plain.to_vec()))?;
    writeln!(row, "        plain: {},", form(&stored, &hash))?;
    used.push(stored);
    for (field, suffix, compress) in
        [("brotli", "br", brotli as fn(&[u8]) -> Result<Vec<u8>, Failure>), ("gzip", "gz", gzip)]
    {
        let mut value = "None".to_owned();
        if kind.compressible && plain.len() > ONE_PACKET_BYTES {
            let stored = format!("{hash}.{suffix}");
            let length = store_once(store, &stored, || compress(plain))?;
            if length < plain.len() as u64 {
                value = format!("Some({})", form(&stored, &format!("{hash}-{suffix}")));
            }
            used.push(stored);
        }
        writeln!(row, "        {field}: {value},")?;
    }
    writeln!(row, "    }},")?;
    Ok(row)
}

fn form(stored: &str, tag: &str) -> String {
    format!(
        "Form {{ bytes: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/page/{stored}\")), tag: \"\\\"{tag}\\\"\" }}"
    )
}

/// The length of a stored file, which is made when it is not there. Renamed into place, so that a build that is cut
/// off leaves no half of one.
fn store_once(
    store: &Path,
    name: &str,
    make: impl FnOnce() -> Result<Vec<u8>, Failure>,
) -> Result<u64, Failure> {
    let path = store.join(name);
    if let Ok(metadata) = fs::metadata(&path) {
        return Ok(metadata.len());
    }
    let bytes = make()?;
    let unfinished = store.join(format!("{name}.unfinished"));
    fs::write(&unfinished, &bytes)?;
    fs::rename(&unfinished, &path)?;
    Ok(bytes.len() as u64)
}

fn brotli(plain: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, 11, 22);
    writer.write_all(plain)?;
    Ok(writer.into_inner())
}

fn gzip(plain: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(plain)?;
    Ok(writer.finish()?)
}

/// FNV-1a: tells versions of our own files apart, which needs no resistance against anybody, and spares a dependency.
fn fnv128(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}
