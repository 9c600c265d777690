//! Several files one behind the other: the length of the name (u16), the name, the length of the content (u64), the content;
//! a name of no length ends it. Numbers are big-endian.

use std::io::{self, Read, Write};

use super::Extra;

pub(super) const KEY: &str = "store.key";
pub(super) const DATABASE: &str = "portico.db";
/// Before the names that a caller gave.
const EXTRA: &str = "files/";

/// Of the files that are kept in memory while a bundle is read; the database is not.
const MOST_EXTRA_BYTES: u64 = 256 << 20;
const MOST_KEY_BYTES: u64 = 1 << 10;

/// What one file takes besides its content.
const fn frame_bytes(name: &str) -> u64 {
    2 + name.len() as u64 + 8
}

/// Of the whole bundle.
pub(super) fn size(key_bytes: u64, database_bytes: u64, extras: &[Extra]) -> u64 {
    let extra = |extra: &Extra| frame_bytes(&named(&extra.name)) + extra.content.len() as u64;
    let extras: u64 = extras.iter().map(extra).sum();
    frame_bytes(KEY) + key_bytes + frame_bytes(DATABASE) + database_bytes + extras + 2
}

pub(super) fn write(
    to: &mut impl Write,
    key: &[u8],
    (database, database_bytes): (impl Read, u64),
    extras: &[Extra],
) -> io::Result<()> {
    frame(to, KEY, key.len() as u64)?;
    to.write_all(key)?;
    for extra in extras {
        frame(to, &named(&extra.name), extra.content.len() as u64)?;
        to.write_all(&extra.content)?;
    }
    frame(to, DATABASE, database_bytes)?;
    if io::copy(&mut database.take(database_bytes), to)? != database_bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    to.write_all(&0_u16.to_be_bytes())
}

/// All but the database, which goes to `database`.
pub(super) fn read(from: &mut impl Read, database: &mut impl Write) -> io::Result<(Vec<u8>, Vec<Extra>)> {
    let (mut key, mut extras, mut extra_bytes, mut databases) = (Vec::new(), Vec::new(), 0_u64, 0);
    while let Some((name, bytes)) = next(from)? {
        match name.strip_prefix(EXTRA) {
            None if name == DATABASE => {
                databases += 1;
                if io::copy(&mut from.take(bytes), database)? != bytes {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            None if name == KEY && bytes <= MOST_KEY_BYTES => key = content(from, bytes)?,
            Some(name) if is_plain(name) => {
                extra_bytes = extra_bytes.saturating_add(bytes);
                if extra_bytes > MOST_EXTRA_BYTES {
                    return Err(malformed());
                }
                extras.push(Extra { name: name.to_owned(), content: content(from, bytes)? });
            }
            _ => return Err(malformed()),
        }
    }
    // Nothing behind the end, and with that the last piece has been seen.
    let behind = from.read(&mut [0])?;
    if behind > 0 || databases != 1 || key.is_empty() {
        return Err(malformed());
    }
    Ok((key, extras))
}

/// A path below a folder, and never out of it.
pub(super) fn is_plain(name: &str) -> bool {
    let fits = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    name.len() < 4096 && name.split('/').all(fits)
}

fn named(name: &str) -> String {
    format!("{EXTRA}{name}")
}

fn frame(to: &mut impl Write, name: &str, content_bytes: u64) -> io::Result<()> {
    let name_bytes =
        u16::try_from(name.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidFilename))?;
    to.write_all(&name_bytes.to_be_bytes())?;
    to.write_all(name.as_bytes())?;
    to.write_all(&content_bytes.to_be_bytes())
}

fn next(from: &mut impl Read) -> io::Result<Option<(String, u64)>> {
    let mut name_bytes = [0; 2];
    from.read_exact(&mut name_bytes)?;
    let name_bytes = u16::from_be_bytes(name_bytes);
    if name_bytes == 0 {
        return Ok(None);
    }
    let name = String::from_utf8(content(from, name_bytes.into())?).map_err(|_| malformed())?;
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(Some((name, u64::from_be_bytes(bytes))))
}

fn content(from: &mut impl Read, bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    match from.take(bytes).read_to_end(&mut content)? as u64 == bytes {
        true => Ok(content),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extra(name: &str, content: &[u8]) -> Extra {
        Extra { name: name.to_owned(), content: content.to_vec() }
    }

    #[test]
    fn what_was_bundled_comes_out() {
        let extras = [extra("certificates/a/pair.pem", b"PEM"), extra("证书", b"")];
        let mut bundle = Vec::new();
        write(&mut bundle, b"key", (&b"database"[..], 8), &extras).unwrap();
        assert_eq!(bundle.len() as u64, size(3, 8, &extras));
        let mut database = Vec::new();
        let (key, found) = read(&mut &bundle[..], &mut database).unwrap();
        assert_eq!((&key[..], &database[..], &found[..]), (&b"key"[..], &b"database"[..], &extras[..]));
        for bytes in 0..bundle.len() {
            assert!(read(&mut &bundle[..bytes], &mut Vec::new()).is_err(), "{bytes}");
        }
        bundle.push(0);
        assert!(read(&mut &bundle[..], &mut Vec::new()).is_err());
    }

    #[test]
    fn names_stay_below_their_folder() {
        for (name, fits) in [
            ("a", true),
            ("a/b.pem", true),
            ("..a/b", true),
            ("", false),
            ("/etc/passwd", false),
            ("../a", false),
            ("a/../b", false),
            ("a//b", false),
            ("./a", false),
            ("a/", false),
            ("a\0", false),
        ] {
            assert_eq!(is_plain(name), fits, "{name:?}");
        }
    }

    #[test]
    fn lengths_that_lie_end_in_an_error() {
        for (name, bytes) in [("files/a", u64::MAX), ("store.key", 1 << 20), ("other", 1), ("files/../a", 1)]
        {
            let mut bundle = Vec::new();
            frame(&mut bundle, name, bytes).unwrap();
            bundle.extend([0; 100]);
            assert!(read(&mut &bundle[..], &mut Vec::new()).is_err(), "{name}");
        }
    }
}
