"""Who is measured, with which settings. Each runs from a folder of its own, on loopback, as an unprivileged server
would: nothing outside that folder is read or written, and no service of the system is touched."""

import base64
import glob
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from harness.processes import Failed, Process, free_port

HERE = pathlib.Path(__file__).resolve().parent.parent

# The article's log format, for every Nginx here.
RECIPE_LOG = """log_format qwen_combined '$remote_addr - $remote_user [$time_local] '
    '"$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent" '
    'rt=$request_time uct="$upstream_connect_time" uht="$upstream_header_time" urt="$upstream_response_time"';"""

# What any Nginx needs to live in a folder instead of the system's places.
IN_FOLDER = """pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
{user}"""
TEMPORARY = """client_body_temp_path {folder}/body;
proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi;
uwsgi_temp_path {folder}/uwsgi;
scgi_temp_path {folder}/scgi;"""

# The strongest Nginx that is fair: same duties as Portico (a log line for every request, on disk within a second), and
# the same listening (a socket a worker). The body buffer halves an upload's cost against the default of 16k. TLS: what
# Mozilla's configurator writes, with tickets, as Portico has them; the small record buffer is better for streams, in
# time and in memory.
TUNED = """daemon off;
worker_processes auto;
{in_folder}
events {{ worker_connections 4096; }}
http {{
{temporary}
{log}
access_log {folder}/access.log qwen_combined buffer=64k flush=1s;
sendfile on;
tcp_nopush on;
tcp_nodelay on;
keepalive_timeout 75s;
keepalive_requests 100000000;
client_max_body_size 64m;
client_body_buffer_size 128k;
upstream model {{
    server 127.0.0.1:{upstream};
    keepalive 512;
    keepalive_requests 100000000;
    keepalive_timeout 60s;
}}
server {{
    listen 127.0.0.1:{port} reuseport backlog=4096;
    listen 127.0.0.1:{tls_port} ssl reuseport backlog=4096;
    ssl_certificate {pair}/certificate.pem;
    ssl_certificate_key {pair}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers off;
    ssl_session_cache shared:tls:10m;
    ssl_session_timeout 1d;
    ssl_session_tickets on;
    ssl_buffer_size 4k;
    location /v1/ {{
        proxy_pass http://model;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_read_timeout 300;
        proxy_send_timeout 300;
    }}
    location /health {{ return 200 "OK"; }}
}}
}}
"""

# The article's server block inside Debian's nginx.conf. Changed only where it would not work at all: `proxy_pass`
# without the path (with it every call is 404), the body limit (1 MB refuses the picture), and the listening address.
RECIPE = """daemon off;
worker_processes auto;
{in_folder}
events {{ worker_connections 768; }}
http {{
{temporary}
sendfile on;
tcp_nopush on;
types_hash_max_size 2048;
default_type application/octet-stream;
gzip on;
{log}
upstream qwen_backend {{ server 127.0.0.1:{upstream}; }}
server {{
    listen 127.0.0.1:{port};
    server_name your-domain.com;
    access_log {folder}/access.log qwen_combined;
    client_max_body_size 64m;
    location / {{
        root {folder}/build;
        try_files $uri $uri/ /chat.html;
        index chat.html;
        gzip on;
        gzip_types text/plain text/css application/json application/javascript text/xml application/xml application/xml+rss text/javascript;
        location ~* \\.(js|css|png|jpg|jpeg|gif|ico|svg|woff2|ttf)$ {{
            root {folder}/build;
            expires 1y;
            add_header Cache-Control "public, immutable";
            try_files $uri =404;
        }}
    }}
    location /v1/ {{
        proxy_pass http://qwen_backend;
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
        proxy_read_timeout 300;
        proxy_send_timeout 300;
        proxy_connect_timeout 300;
        add_header 'Access-Control-Allow-Origin' 'https://admin.your-company.com' always;
        add_header 'Access-Control-Allow-Methods' 'GET, POST, OPTIONS' always;
        add_header 'Access-Control-Allow-Headers' 'DNT,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization' always;
        add_header 'Access-Control-Expose-Headers' 'Content-Length,Content-Range' always;
        if ($request_method = 'OPTIONS') {{
            add_header 'Access-Control-Allow-Origin' 'https://admin.your-company.com' always;
            add_header 'Access-Control-Allow-Methods' 'GET, POST, OPTIONS' always;
            add_header 'Access-Control-Allow-Headers' 'DNT,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization' always;
            add_header 'Access-Control-Max-Age' 17280000;
            add_header 'Content-Type' 'text/plain; charset=utf-8';
            add_header 'Content-Length' 0;
            return 204;
        }}
    }}
    location /health {{ return 200 "OK"; add_header Content-Type text/plain; }}
}}
}}
"""

HAPROXY = """global
    maxconn 4096
    log stdout format raw local0
defaults
    mode http
    log global
    option httplog
    option http-keep-alive
    option http-no-delay
    http-reuse always
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-keep-alive 75s
frontend door
    bind 127.0.0.1:{port}
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    default_backend model
backend model
    server model 127.0.0.1:{upstream} pool-max-conn 512
"""

# Portico as its users run it: policy, limits and the JSON log on; no plan limits, or they would be what is measured.
PORTICO = """[site]
data_dir = "{folder}/data"

[listen]
http = ["127.0.0.1:{port}"]
https = ["127.0.0.1:{tls_port}"]
admin = "unix:{folder}/admin.sock"
metrics = "127.0.0.1:{metrics}"
max_connections_per_address = 10000

[tls]
issuer = "files"
certificate = "{pair}/certificate.pem"
key = "{pair}/key.pem"
redirect = false

[plan.default]
requests_per_minute = 0
tokens_per_minute = 0
tokens_per_day = 0
concurrent = 0
waiting = 200
max_output_tokens = 0

[queue]
max_running = 4096

[[model]]
name = "bench"
upstream_name = "bench"
engine = "external"
endpoints = ["http://127.0.0.1:{upstream}"]
modalities = ["text", "image"]

[log]
access = "{folder}/access.log"
format = "json"
error = "stderr"

[health]
interval = "0s"
generate_every = "0s"
"""


class Contender:
    """One of those that are compared; started again and again for the start time, once for all measures but those of
    memory, which begin with a fresh process each time. `folder` holds the certificate."""

    speaks_tls = False
    authorization = None
    """What the calls of the harness itself need."""

    def __init__(self, name, folder, upstream):
        self.name = name
        self.folder = pathlib.Path(folder) / name
        self.pair = folder
        self.upstream = upstream
        self.process = None
        self.port = None
        self.tls_port = None
        self.requests = 0
        self.log_lines = 0
        self.log_ends = {}
        self.credentials = {}
        self.folder.mkdir()

    def start(self):
        """Seconds from start to the first answer."""
        self.port, self.tls_port = free_port(), free_port()
        command = self.prepare()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PORTICO_")}
        self.process = Process(command, self.folder / "output.log", environment)
        try:
            return self.process.first_answer(self.port, self.authorization)
        except Failed:
            self.stop()
            raise

    def stop(self):
        if self.process is not None:
            self.process.stop()
            self.process = None

    def write(self, name, template, **values):
        path = self.folder / name
        places = {"folder": self.folder, "pair": self.pair, "upstream": self.upstream}
        path.write_text(template.format(port=self.port, tls_port=self.tls_port, **places, **values))
        return str(path)

    def forget_log(self):
        self.requests = self.log_lines = 0
        self.collect_log(count=False)

    def collect_log(self, count=True):
        """Counts the lines that have come to the access log, and frees their place on the disk. The file keeps its
        length: a line may be written at any moment, and emptying the file would lose what came after the count."""
        for name in glob.glob(str(self.folder / "access.log*")):
            begin = end = self.log_ends.get(name, 0)
            lines = 0
            with open(name, "rb") as log:
                log.seek(begin)
                while piece := log.read(1 << 20):
                    lines += piece.count(b"\n")
                    end += len(piece)
            self.log_ends[name] = end
            if end > begin:
                hole = ["fallocate", "--punch-hole", "--offset", "0", "--length", str(end), name]
                subprocess.run(hole, check=False, stderr=subprocess.DEVNULL)
            if count:
                self.log_lines += lines


class Direct(Contender):
    """No proxy: what mock and load generator cost and add by themselves."""

    def __init__(self, name, folder, upstream):
        super().__init__(name, folder, upstream)
        self.port = upstream

    def start(self):
        return None

    def version(self):
        return "no proxy"


class Nginx(Contender):
    template = TUNED
    binary = None
    speaks_tls = True

    def prepare(self):
        (self.folder / "build").mkdir(exist_ok=True)
        # Started by root, Nginx would give its workers to www-data, who cannot enter this folder.
        user = "user root root;" if os.geteuid() == 0 else ""
        parts = {
            "in_folder": IN_FOLDER.format(folder=self.folder, user=user),
            "temporary": TEMPORARY.format(folder=self.folder),
            "log": RECIPE_LOG,
        }
        configuration = self.write("nginx.conf", self.template, **parts)
        return [self.binary, "-p", str(self.folder), "-e", f"{self.folder}/error.log", "-c", configuration]

    def version(self):
        said = subprocess.run([self.binary, "-V"], capture_output=True, text=True, check=True).stderr
        return nginx_version(said)


def nginx_version(said):
    """Its own version and its TLS library's, of what `nginx -V` says: handshakes are mostly the latter's work."""
    version = library = ""
    for line in said.splitlines():
        kind, _, rest = line.partition(": ") if line.startswith("nginx version") else line.partition(" with ")
        if kind == "nginx version":
            version = rest
        elif kind == "built":
            library = rest.split("(running with ")[-1].rstrip(")")
    words = library.split()
    return f"{version}, {' '.join(words[:2])}" if words else version


class NginxRecipe(Nginx):
    template = RECIPE
    speaks_tls = False


class Haproxy(Contender):
    binary = None

    def prepare(self):
        return [self.binary, "-f", self.write("haproxy.cfg", HAPROXY)]

    def version(self):
        said = subprocess.run([self.binary, "-v"], capture_output=True, text=True, check=True).stdout
        return said.splitlines()[0]

    def collect_log(self, count=True):
        """Its log is its standard output."""
        output = self.folder / "output.log"
        if count:
            self.log_lines += output.read_bytes().count(b'HTTP/1.1"')
        os.truncate(output, 0)


class Portico(Contender):
    binary = None
    speaks_tls = True

    def prepare(self):
        (self.folder / "data").mkdir(exist_ok=True)
        configuration = self.write("portico.toml", PORTICO, metrics=free_port())
        return [self.binary, "--config", configuration, "run"]

    def version(self):
        return subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()


class PorticoAsks(Portico):
    """The same, with one user and one key: everybody is asked who he is. They are made before the first start."""

    def prepare(self):
        command = super().prepare()
        if not self.credentials:
            name, password = "bench", "a password of the bench"
            self.ask("user", "add", name, "--password-stdin", said=password)
            key = json.loads(self.ask("key", "create", "--user", name, "--json"))["key"]
            encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
            self.credentials = {"basic": f"Basic {encoded}", "key": f"Bearer {key}"}
            self.authorization = self.credentials["key"]
        return command

    def ask(self, *words, said=""):
        command = [self.binary, "--config", self.folder / "portico.toml", *words]
        done = subprocess.run(command, input=said, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode != 0:
            raise Failed(f"portico {words[0]} {words[1]}: {done.stderr.strip()}")
        return done.stdout


KINDS = {
    "portico": Portico,
    "portico-asks": PorticoAsks,
    "nginx-tuned": Nginx,
    "nginx-recipe": NginxRecipe,
    "haproxy": Haproxy,
    "direct": Direct,
}
BASE = "nginx-tuned"


def find_portico(path):
    """The product's release build, and a warning where the sources are newer than it."""
    binary = pathlib.Path(path) if path else HERE.parent / "target/release/portico"
    if not binary.is_file():
        raise Failed(f"{path or 'target/release/portico'} is not there; build it first: cargo build --release")
    built = binary.stat().st_mtime
    sources = [source for source in (HERE.parent / "crates").rglob("*") if source.suffix in (".rs", ".toml")]
    newer = [source for source in sources if source.stat().st_mtime > built]
    warning = f"portico: the binary is older than {len(newer)} source files" if newer and not path else None
    return str(binary), warning


def find_haproxy(path):
    binary = path or shutil.which("haproxy")
    if not binary:
        raise Failed("not installed (optional)")
    return binary


def find_nginx(path):
    """Debian's Nginx: the one given, the one fetched before, the system's, or fetched now. Fetching unpacks the
    package into bench/target: nothing is installed, so no service can start and no right of root is needed."""
    fetched = HERE / "target/nginx"
    candidates = [path] if path else [fetched / "usr/sbin/nginx", shutil.which("nginx"), "/usr/sbin/nginx"]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return str(candidate)
    if path:
        raise Failed(f"{path} is no program")
    if not shutil.which("apt-get"):
        raise Failed("no nginx and no apt-get; give one with --nginx PATH")
    with tempfile.TemporaryDirectory(prefix="portico-bench-apt-") as folder:
        for package in ("nginx", "nginx-core"):
            download(package, folder)
            for archive in glob.glob(f"{folder}/{package}_*.deb"):
                subprocess.run(["dpkg-deb", "-x", archive, fetched], check=True)
            if os.access(fetched / "usr/sbin/nginx", os.X_OK):
                return usable(fetched / "usr/sbin/nginx")
    raise Failed("the nginx package holds no nginx; give one with --nginx PATH")


def download(package, folder):
    fetch = ["apt-get", "download", "-qq", package]
    tried = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, check=False)
    if tried.returncode != 0 and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False, timeout=300)
        tried = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        raise Failed(f"apt-get download {package}: {tried.stderr.strip()}\nrun apt-get update, or give --nginx PATH")


def usable(binary):
    needed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
    missing = [line.split()[0] for line in needed.splitlines() if "not found" in line]
    if missing:
        raise Failed(f"nginx needs {', '.join(missing)}: apt-get install libpcre2-8-0 libssl3 zlib1g libcrypt1")
    return str(binary)
