//! What every finding says: what was met, why it matters, what to do. "From here" wherever others may see it otherwise.

use std::fmt::Display;
use std::net::SocketAddr;

use super::LOOK;
use super::caa;
use super::clock;
use super::finding::{Door, Failure, Finding, Heard, Knock, Nat, Pointing, Range, What, Zone};
use crate::types::{Text, text};

impl Finding {
    pub(crate) fn text(&self) -> Text {
        let name = self.name.as_str();
        match &self.what {
            What::Name(pointing) => of_pointing(name, pointing),
            What::Port(knock) => of_knock(name, knock),
            What::Caa(verdict) => of_caa(name, verdict),
            What::Clock(verdict) => of_clock(*verdict),
        }
    }
}

fn of_pointing(name: &str, pointing: &Pointing) -> Text {
    match pointing {
        Pointing::Here { address } => {
            text!("{name} points to {address}, which is this machine.", "{name} 指向 {address},即本机。")
        }
        Pointing::Through { address } => text!(
            "{name} points to {address}. That is no address of this machine, but Portico answers there.",
            "{name} 指向 {address}。这不是本机的地址,但在该地址应答的是 Portico。"
        ),
        Pointing::Elsewhere { address, own, nat } => elsewhere(name, address, &list(own), *nat),
        Pointing::Inside { address, range } => inside(name, address, *range),
        Pointing::StrayIpv6 { address, own } if own.is_empty() => text!(
            "{name} has an AAAA record with {address}, and this machine has no public IPv6 address. Certificate authorities and browsers try IPv6 first, so they come to the wrong place. Remove the AAAA record, or give this machine that address.",
            "{name} 有指向 {address} 的 AAAA 记录,但本机没有公网 IPv6 地址。证书颁发机构和浏览器会优先使用 IPv6,因此到不了本机。请删除该 AAAA 记录,或为本机配置该地址。"
        ),
        Pointing::StrayIpv6 { address, own } => {
            let own = list(own);
            text!(
                "{name} has an AAAA record with {address}, and this machine's IPv6 addresses are {own}. Certificate authorities and browsers try IPv6 first, so they come to the wrong place. Correct the AAAA record, or remove it.",
                "{name} 有指向 {address} 的 AAAA 记录,而本机的 IPv6 地址是 {own}。证书颁发机构和浏览器会优先使用 IPv6,因此到不了本机。请更正或删除该 AAAA 记录。"
            )
        }
        Pointing::NoSuchName { zone } => no_such_name(name, zone.as_ref()),
        Pointing::NoAddress { zone } => {
            let Text { en, zh } = place(zone.as_ref());
            text!(
                "{name} has no address: there is neither an A nor an AAAA record, so nobody can come here by it. Add an A record with this machine's public address{en}.",
                "{name} 没有地址:既无 A 记录也无 AAAA 记录,任何人都无法通过它访问本机。请添加指向本机公网地址的 A 记录{zh}。"
            )
        }
        Pointing::LookupFailed { record, failure } => lookup_failed(name, record, *failure),
    }
}

fn elsewhere(name: &str, address: &dyn Display, own: &str, nat: Nat) -> Text {
    match nat {
        Nat::Unlikely => text!(
            "{name} points to {address}, and this machine's addresses are {own}. Whoever comes by the name comes to another machine. Set its A record to this machine's public address.",
            "{name} 指向 {address},而本机的地址是 {own}。通过该域名访问的人会到达另一台机器。请把它的 A 记录改为本机的公网地址。"
        ),
        Nat::Likely if own.is_empty() => text!(
            "{name} points to {address}. This machine has no IPv4 address of its own that could be compared. See that {address} leads here, with ports 80 and 443.",
            "{name} 指向 {address}。本机没有可供比较的 IPv4 地址。请确认 {address} 的 80 和 443 端口通向本机。"
        ),
        Nat::Likely => text!(
            "{name} points to {address}. This machine has only private addresses ({own}), so a router or a cloud holds the public one, and whether it is this one can't be seen from here. See that {address} is it, and that it passes ports 80 and 443 on to this machine.",
            "{name} 指向 {address}。本机只有内网地址({own}),公网地址由路由器或云平台持有,从本机无法判断是否就是它。请确认 {address} 是您的公网地址,并将 80 和 443 端口转发到本机。"
        ),
    }
}

fn inside(name: &str, address: &dyn Display, range: Range) -> Text {
    match range {
        Range::Loopback => text!(
            "{name} points to {address}, which is every machine's own self. A public certificate authority can't come here by it. Set the record to this machine's public address, or set tls.challenge = \"dns-01\".",
            "{name} 指向回环地址 {address},每台机器都会访问到自己。公共证书颁发机构无法由此到达本机。请把记录改为本机的公网地址,或设置 tls.challenge = \"dns-01\"。"
        ),
        Range::Private => text!(
            "{name} points to {address}, which is a private address. A public certificate authority can't come here by it. Set the record to the public address, or set tls.challenge = \"dns-01\", which needs no way in.",
            "{name} 指向内网地址 {address}。公共证书颁发机构无法由此到达本机。请把记录改为公网地址,或设置 tls.challenge = \"dns-01\",它无需从外部访问。"
        ),
        Range::Benchmark => text!(
            "{name} is {address} for this machine: an address that nobody has. Proxy programs with \"fake-ip\" answer like that, so what others see can't be told from here. Turn the proxy off for DNS on this machine, then look again.",
            "本机查得 {name} 的地址为 {address},这是一个无人使用的地址。开启 fake-ip 的代理软件会这样应答,因此无法得知他人看到的结果。请在本机关闭代理的 DNS 接管后重试。"
        ),
    }
}

fn no_such_name(name: &str, zone: Option<&Zone>) -> Text {
    if zone.is_none() {
        return text!(
            "{name} does not exist in the DNS, and no name servers were found for its domain. Check the spelling in site.names and that the domain is registered and not expired; then add an A record with this machine's public address.",
            "DNS 中不存在 {name},也未找到其所属域名的域名服务器。请检查 site.names 的拼写,并确认域名已注册且未过期;然后添加指向本机公网地址的 A 记录。"
        );
    }
    let Text { en, zh } = place(zone);
    text!(
        "{name} does not exist in the DNS. Check the spelling in site.names, or add an A record with this machine's public address{en}.",
        "DNS 中不存在 {name}。请检查 site.names 的拼写,或添加指向本机公网地址的 A 记录{zh}。"
    )
}

/// Where a record is to be added, as far as that is known.
fn place(zone: Option<&Zone>) -> Text {
    match zone {
        Some(Zone { name, servers }) => {
            let servers = list(servers);
            text!(" (zone {name}, kept by {servers})", "(区域 {name},由 {servers} 托管)")
        }
        None => Text { en: "".into(), zh: "".into() },
    }
}

fn lookup_failed(name: &str, record: &str, failure: Failure) -> Text {
    let seconds = LOOK.as_secs();
    match failure {
        Failure::ServFail => text!(
            "Looking up the {record} record of {name} fails (SERVFAIL): its name servers don't answer well, or its DNSSEC is broken. Certificate authorities will likely meet the same. Look at the name servers and DS records where the domain is registered.",
            "查询 {name} 的 {record} 记录失败(SERVFAIL):其域名服务器应答异常,或 DNSSEC 配置有误。证书颁发机构很可能也会遇到同样的问题。请在域名注册商处检查域名服务器和 DS 记录。"
        ),
        Failure::TimedOut => text!(
            "Looking up the {record} record of {name} got no answer within {seconds} seconds. This machine's resolver or the domain's name servers are slow or silent. Check /etc/resolv.conf, and try `getent ahosts {name}`.",
            "查询 {name} 的 {record} 记录在 {seconds} 秒内没有应答。本机的解析器或该域名的域名服务器缓慢或无响应。请检查 /etc/resolv.conf,并试运行 `getent ahosts {name}`。"
        ),
        Failure::Refused | Failure::Other => text!(
            "The {record} record of {name} can't be looked up: this machine's resolver refuses or does not work. Check /etc/resolv.conf, and try `getent ahosts {name}`.",
            "无法查询 {name} 的 {record} 记录:本机的解析器拒绝查询或不可用。请检查 /etc/resolv.conf,并试运行 `getent ahosts {name}`。"
        ),
    }
}

fn of_knock(name: &str, knock: &Knock) -> Text {
    let Knock { door, address, heard, around } = knock;
    let (port, seconds) = (address.port(), LOOK.as_secs());
    let told = match heard {
        Heard::Portico => {
            return text!(
                "Portico answers for {name} at {address}, as far as can be seen from here.",
                "从本机看,{address} 上应答 {name} 的是 Portico。"
            );
        }
        Heard::FilingBlock => return filing_block(name),
        Heard::NoRoute => {
            return text!(
                "This machine can't send to {address}, so what others meet there for {name} can't be told from here.",
                "本机无法访问 {address},因此无法得知他人通过 {name} 访问该地址的结果。"
            );
        }
        Heard::Refused => refused(name, *address),
        Heard::TimedOut => text!(
            "No connection to {address} for {name} within {seconds} seconds, from here. A firewall may drop it, or the address is not in use. Open port {port} in this machine's firewall and in the cloud's security group.",
            "从本机在 {seconds} 秒内无法连接 {address}({name})。可能被防火墙丢弃,或该地址未被使用。请在本机防火墙和云平台安全组中放行 {port} 端口。"
        ),
        Heard::Silent => text!(
            "{address} takes connections for {name} and then says nothing for {seconds} seconds. Whatever listens there hangs, or is not Portico. See `ss -ltnp 'sport = :{port}'`.",
            "{address} 接受了 {name} 的连接,但 {seconds} 秒内没有任何应答。监听该端口的程序已挂起,或不是 Portico。请用 `ss -ltnp 'sport = :{port}'` 查看。"
        ),
        Heard::Cut => cut(name, *address, *door),
        Heard::NoTls => text!(
            "{address} does not open TLS for {name}: something else than Portico answers there, or it wants none with this name. See `ss -ltnp 'sport = :{port}'`.",
            "{address} 未能为 {name} 建立 TLS:应答的不是 Portico,或对方拒绝该域名。请用 `ss -ltnp 'sport = :{port}'` 查看。"
        ),
        Heard::Other { status, server } => other(name, *address, *status, server.as_deref()),
    };
    if *around { behind_router(told) } else { told }
}

fn refused(name: &str, address: SocketAddr) -> Text {
    let port = address.port();
    text!(
        "Nothing listens at {address} for {name}, from here. Visitors and certificate authorities come by port {port}. See that Portico runs and has it in `listen`, and that a router in between passes it on.",
        "从本机看,{address}({name})上没有程序监听。访客和证书颁发机构都从 {port} 端口进入。请确认 Portico 正在运行且 `listen` 中包含该端口,中间的路由器也转发了该端口。"
    )
}

fn other(name: &str, address: SocketAddr, status: Option<u16>, server: Option<&str>) -> Text {
    let port = address.port();
    let Text { en, zh } = match (server, status) {
        (Some(server), Some(status)) => text!("{server}, status {status}", "{server},状态 {status}"),
        (None, Some(status)) => text!("status {status}", "状态 {status}"),
        (_, None) => Text::fixed("not HTTP", "不是 HTTP"),
    };
    text!(
        "Something else than Portico answers for {name} at {address} ({en}). A certificate authority that meets it too can't verify the name. If it runs on this machine, end it or move it (`ss -ltnp 'sport = :{port}'`); if not, the name or the port leads elsewhere.",
        "在 {address} 上应答 {name} 的不是 Portico({zh})。如果证书颁发机构也遇到它,就无法验证该域名。如果它在本机运行,请停止或换端口(`ss -ltnp 'sport = :{port}'`);否则说明域名或端口通向了别处。"
    )
}

fn cut(name: &str, address: SocketAddr, door: Door) -> Text {
    let Text { en, zh } = match door {
        Door::Http => text!("the request for {name} was sent", "发出对 {name} 的请求之后"),
        Door::Https => text!("{name} was named in the TLS handshake", "在 TLS 握手中给出 {name} 之后"),
    };
    text!(
        "The connection to {address} was cut right after {en}, without an answer. In mainland China carriers do that to names without an ICP filing; elsewhere a firewall, or a program that can't serve. If the name has no filing, file it with your cloud, or set tls.challenge = \"dns-01\" to get certificates all the same.",
        "{zh},与 {address} 的连接立即被切断,没有应答。在中国大陆,运营商会这样对待未备案的域名;在其他地区可能是防火墙,或无法服务的程序。如果该域名未备案,请在云平台办理备案;或设置 tls.challenge = \"dns-01\",仍可取得证书。"
    )
}

/// A router that is asked for its own outer address from inside.
fn behind_router(told: Text) -> Text {
    let Text { en, zh } = told;
    text!(
        "{en} The address is not this machine's own: from inside, a router may answer in its own name or not at all, so look from outside as well.",
        "{zh}该地址不属于本机:从内部访问时,路由器可能自行应答或不应答,请同时从外部检查。"
    )
}

pub(super) fn filing_block(name: &str) -> Text {
    let (en, zh) = if name.is_empty() { ("the name", "该域名") } else { (name, name) };
    text!(
        "In place of Portico the page comes that clouds and carriers in mainland China show for names without an ICP filing. Nothing on this machine can change that for {en}. File the name with your cloud, or set tls.challenge = \"dns-01\" to get certificates all the same; visitors stay blocked until the name is filed.",
        "应答的不是 Portico,而是中国大陆的云平台或运营商对未备案域名显示的拦截页。本机上的任何设置都无法改变 {zh} 的这一情况。请在云平台办理 ICP 备案;或设置 tls.challenge = \"dns-01\",仍可取得证书,但备案完成之前访客仍会被拦截。"
    )
}

fn of_caa(name: &str, verdict: &caa::Verdict) -> Text {
    use caa::Verdict::{Absent, Critical, Failed, Forbids, ForbidsAccount, ForbidsMethod, Permits, Unknown};
    match verdict {
        Absent => text!(
            "No CAA record restricts who may issue for {name}.",
            "没有 CAA 记录限制 {name} 的证书颁发机构。"
        ),
        Permits { at } => text!(
            "The CAA records at {at} let the certificate authority issue for {name}.",
            "{at} 的 CAA 记录允许该证书颁发机构为 {name} 签发。"
        ),
        Forbids { at, records, wanted } => {
            let records = list(records);
            text!(
                "The CAA records at {at} don't let the certificate authority issue for {name}: {records}. It has to refuse. Add this record: {wanted}",
                "{at} 的 CAA 记录不允许该证书颁发机构为 {name} 签发:{records}。颁发机构必须拒绝。请添加记录:{wanted}"
            )
        }
        ForbidsMethod { at, methods, challenge } => text!(
            "The CAA record at {at} lets {name} be proven only by \"{methods}\", and Portico proves it by {challenge}. Add the method to validationmethods in the record, or set tls.challenge to one that it names.",
            "{at} 的 CAA 记录只允许以 \"{methods}\" 验证 {name},而 Portico 使用 {challenge}。请在该记录的 validationmethods 中加入此方式,或把 tls.challenge 设为其中列出的方式。"
        ),
        ForbidsAccount { at, accounts, ours: Some(ours) } => text!(
            "The CAA record at {at} lets only the account {accounts} have certificates for {name}, and Portico's is {ours}. Add another record with accounturi={ours}",
            "{at} 的 CAA 记录只允许账户 {accounts} 取得 {name} 的证书,而 Portico 的账户是 {ours}。请再添加一条带 accounturi={ours} 的记录。"
        ),
        ForbidsAccount { at, accounts, ours: None } => text!(
            "The CAA record at {at} lets only the account {accounts} have certificates for {name}, and Portico has no account yet. Add a record without accounturi, or with Portico's once it has one (`portico cert status`).",
            "{at} 的 CAA 记录只允许账户 {accounts} 取得 {name} 的证书,而 Portico 尚无账户。请添加不带 accounturi 的记录,或在账户建立后(`portico cert status`)添加带该账户的记录。"
        ),
        Critical { at, tag } => text!(
            "The CAA records at {at} hold a critical property \"{tag}\" that certificate authorities don't know, so they have to refuse {name}. Remove it, or set its flag to 0.",
            "{at} 的 CAA 记录含有证书颁发机构不认识的关键属性 \"{tag}\",因此必须拒绝 {name}。请删除它,或把其标志改为 0。"
        ),
        Unknown { at, records } => {
            let records = list(records);
            text!(
                "CAA records at {at} say who may issue for {name}: {records}. See that the configured certificate authority is among them.",
                "{at} 的 CAA 记录规定了可为 {name} 签发的机构:{records}。请确认所配置的证书颁发机构在其中。"
            )
        }
        Failed { at, failure: Failure::ServFail } => text!(
            "Looking up CAA records at {at} fails (SERVFAIL). A certificate authority that meets the same has to refuse {name}, records or not. The name servers of the domain must answer for type CAA; look at them and at its DNSSEC where the domain is kept.",
            "查询 {at} 的 CAA 记录失败(SERVFAIL)。无论有无记录,遇到同样情况的证书颁发机构都必须拒绝 {name}。该域名的域名服务器必须能应答 CAA 查询;请在域名托管处检查域名服务器和 DNSSEC。"
        ),
        Failed { at, failure: Failure::TimedOut | Failure::Refused | Failure::Other } => text!(
            "CAA records at {at} could not be looked up from here. A certificate authority that can't look them up either has to refuse {name}. Try `dig {at} CAA`.",
            "从本机无法查询 {at} 的 CAA 记录。若证书颁发机构也查询不到,就必须拒绝 {name}。请试运行 `dig {at} CAA`。"
        ),
    }
}

fn of_clock(verdict: clock::Verdict) -> Text {
    match verdict {
        clock::Verdict::Right => Text::fixed(
            "This machine's clock agrees with the certificate authority's.",
            "本机时钟与证书颁发机构一致。",
        ),
        clock::Verdict::Ahead { seconds } => text!(
            "This machine's clock is {seconds} seconds ahead of the certificate authority's. Certificates then seem to expire early, and renewals come at the wrong time. Set it with `timedatectl set-ntp true`.",
            "本机时钟比证书颁发机构快 {seconds} 秒。证书会显得提前过期,续期时间也会出错。请用 `timedatectl set-ntp true` 校准。"
        ),
        clock::Verdict::Behind { seconds } => text!(
            "This machine's clock is {seconds} seconds behind the certificate authority's. New certificates then seem not to be valid yet, and renewals come too late. Set it with `timedatectl set-ntp true`.",
            "本机时钟比证书颁发机构慢 {seconds} 秒。新证书会显得尚未生效,续期也会过晚。请用 `timedatectl set-ntp true` 校准。"
        ),
    }
}

fn list<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}
