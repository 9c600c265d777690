//! htpasswd files, as Apache's tool makes them: a line for each user, `NAME:HASH`.

use std::collections::HashMap;
use std::path::Path;

use super::credential::composed;
use super::password::{Kind, NotTaken, PasswordHash};
use crate::types::{Text, text};

/// Of a whole file. One line is about a hundred bytes.
const LARGEST_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Htpasswd {
    pub(crate) users: HashMap<Box<str>, PasswordHash>,
    pub(crate) remarks: Vec<Remark>,
}

/// A line that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remark {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) user: String,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    NotTaken(NotTaken),
    NoColon,
    /// The first line of a name counts, as with Apache and Nginx.
    Twice,
    /// It works, and is fast to guess.
    Weak,
}

/// Reads and parses. Blocks.
pub(crate) fn read(path: &Path) -> Result<Htpasswd, Text> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        text!(
            "the htpasswd file {shown} can't be read: {error}. Nobody in it may come in until it can. Correct access.htpasswd, or the file's owner and permissions.",
            "无法读取 htpasswd 文件 {shown}:{error}。在可以读取之前,其中的用户都无法进入。请更正 access.htpasswd 或该文件的所有者和权限。"
        )
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > LARGEST_BYTES {
        return Err(text!(
            "the htpasswd file {shown} is no file, or is larger than 4 MiB. Nobody in it may come in.",
            "htpasswd 文件 {shown} 不是普通文件或超过 4 MiB。其中的用户都无法进入。"
        ));
    }
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, LARGEST_BYTES), &mut content)
        .map_err(unreadable)?;
    Ok(parse(&String::from_utf8_lossy(&content)))
}

pub(crate) fn parse(content: &str) -> Htpasswd {
    let mut file = Htpasswd::default();
    for (index, line) in content.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut remark = |user: &str, what| {
            let user = user.chars().filter(|c| !c.is_control()).take(64).collect();
            file.remarks.push(Remark { line: index + 1, user, what });
        };
        let Some((name, hash)) = line.split_once(':') else {
            remark("", What::NoColon);
            continue;
        };
        // What follows a second colon is a comment.
        let hash = hash.split(':').next().unwrap_or_default();
        let name = composed(name);
        match PasswordHash::parse(hash) {
            Err(not) => remark(&name, What::NotTaken(not)),
            Ok(_) if file.users.contains_key(&*name) => remark(&name, What::Twice),
            Ok(hash) => {
                if hash.kind() == Kind::Apr1 {
                    remark(&name, What::Weak);
                }
                file.users.insert(name.into(), hash);
            }
        }
    }
    file
}

impl Remark {
    pub(crate) fn text(&self) -> Text {
        let Self { line, user, what } = self;
        match what {
            What::NotTaken(NotTaken::Readable) => text!(
                "line {line}: the password of {user} can be read from the file or is too easily found (plain, SHA-1 or crypt), so {user} may not come in. Make it anew with `htpasswd -B FILE {user}`.",
                "第 {line} 行:{user} 的密码可从文件中读出或太容易破解(明文、SHA-1 或 crypt),因此 {user} 不能进入。请用 `htpasswd -B 文件 {user}` 重新生成。"
            ),
            What::NotTaken(NotTaken::TooCostly) => text!(
                "line {line}: checking the password of {user} would cost more than a second, which anybody could use to stop the server, so {user} may not come in. Make it anew with `htpasswd -B FILE {user}`.",
                "第 {line} 行:验证 {user} 的密码需要一秒以上,任何人都可借此使服务器停滞,因此 {user} 不能进入。请用 `htpasswd -B 文件 {user}` 重新生成。"
            ),
            What::NotTaken(NotTaken::Unknown) => text!(
                "line {line}: the hash of {user} is of no known form, or is not whole, so {user} may not come in. Make it anew with `htpasswd -B FILE {user}`.",
                "第 {line} 行:{user} 的哈希格式未知或不完整,因此 {user} 不能进入。请用 `htpasswd -B 文件 {user}` 重新生成。"
            ),
            What::NoColon => {
                text!("line {line} has no colon and is skipped.", "第 {line} 行没有冒号,已跳过。")
            }
            What::Twice => text!(
                "line {line}: {user} is there twice; the first line counts.",
                "第 {line} 行:{user} 出现两次;以第一行为准。"
            ),
            What::Weak => text!(
                "line {line}: the password of {user} is kept as htpasswd does without -B (MD5), which is fast to guess for who gets the file. `htpasswd -B FILE {user}` keeps it better.",
                "第 {line} 行:{user} 的密码以 htpasswd 不带 -B 时的方式(MD5)保存,拿到文件的人很快就能猜出。`htpasswd -B 文件 {user}` 更安全。"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_apache_reads_them() {
        let file = parse(
            "# people\n\nada:$apr1$s.KKgiaY$57t1yOgZ8Cl5nyRicwuSk1\r\n\
             bob:$2y$05$Xztiemap8MY3g4rrpZw5Te7TlASu63LQBgbQ8XXFtgBpTw6Qwm12i:Bob, since May\n\
             gus:secret\nfay:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nnonsense\n\
             bob:$apr1$s.KKgiaY$57t1yOgZ8Cl5nyRicwuSk1\n\
             kim:$2y$31$Xztiemap8MY3g4rrpZw5Te7TlASu63LQBgbQ8XXFtgBpTw6Qwm12i\n\
             jose\u{301}:$2y$05$Xztiemap8MY3g4rrpZw5Te7TlASu63LQBgbQ8XXFtgBpTw6Qwm12i",
        );
        let mut names: Vec<_> = file.users.keys().map(|name| &**name).collect();
        names.sort_unstable();
        assert_eq!(names, ["ada", "bob", "josé"]);
        assert_eq!(file.users["bob"].kind(), Kind::Bcrypt, "the first line counts");
        let remarks: Vec<_> = file.remarks.iter().map(|r| (r.line, r.user.as_str(), r.what)).collect();
        assert_eq!(
            remarks,
            [
                (3, "ada", What::Weak),
                (5, "gus", What::NotTaken(NotTaken::Readable)),
                (6, "fay", What::NotTaken(NotTaken::Readable)),
                (7, "", What::NoColon),
                (8, "bob", What::Twice),
                (9, "kim", What::NotTaken(NotTaken::TooCostly)),
            ]
        );
        for remark in &file.remarks {
            assert!(!remark.text().en.contains("secret"), "no password is shown");
        }
    }

    #[test]
    fn a_file_that_is_not_there_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&folder.path().join("none")).is_err());
        assert!(read(folder.path()).is_err(), "a folder");
        std::fs::write(folder.path().join("empty"), "").unwrap();
        assert_eq!(read(&folder.path().join("empty")), Ok(Htpasswd::default()));
    }
}
