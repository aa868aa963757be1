"""A registry that behaves as it is told: wrong bytes, cut connections, tokens, redirects.

    registry_server.py PORTFILE LAYOUT LOG [BEHAVIOUR=VALUE...]

Serves the images of an OCI layout directory by their tags under any repository, over plain http on
127.0.0.1, and takes uploads. LOG gets a line for each request: method, path, Range, Authorization's
first word, Host. Behaviours:

    cut=BYTES           end the connection after so many bytes of a layer, ...
    cuts=TIMES          ... so many times (default: always)
    norange=1           answer 200 with everything, whatever Range says
    badrange=1          answer 206 with a part that was not asked for
    wrong=1             another content of the same size
    spoilt=TIMES        the last byte of each layer differs so many times
    stall=BYTES         after so many bytes of a layer wait until there is a file named "go"
    short=1, long=1     a layer of fewer or more bytes than its descriptor says
    busy=TIMES          answer so many requests for layers with 429 and Retry-After: 1 (STATUS: busystatus)
    auth=token|basic    want alice's password, which is "secret"; token=anonymous gives one to anybody
    identity=1          the token server takes the refresh token "refresh" only, by POST
    redirect=HOST:PORT  layers are there
    realm=URL           the token server, in place of this one
    chunkmin=BYTES      OCI-Chunk-Min-Length of uploads
    uploadcut=BYTES     end the connection after so many bytes of the first upload
    nomonolith=1        refuse a PUT with a body
    nomount=1           mounts are not taken
    nohead=1            HEAD of a manifest is no method that it knows
    move=FILE           once there is such a file, the tag "1" stands for what the tag "2" does
    hide=REPOSITORY     HEAD finds no layer there
    referrers=1         the referrers API, in pages of one
    referrers=many|deep  pages of 1000 without end; to each document another one that refers to it
    endless=body|head|continue  what is asked for of layers has an answer without end
    controls=1          the head of manifests has long fields of control characters
    tokenredirect=HOST:PORT  the token server is there
    tokenuses=TIMES     a token is good for so many requests
    keepnothing=1       a PATCH is taken, and nothing of it
"""

import base64
import hashlib
import http.server
import json
import os
import sys
import threading
import time
import urllib.parse

PORT_FILE, LAYOUT, LOG = sys.argv[1:4]
OPTIONS = dict(word.split("=", 1) for word in sys.argv[4:])
LOCK = threading.Lock()
COUNTS = {}
UPLOADS = {}
BLOBS = {}
MANIFESTS = {}
SCOPES = {}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def load():
    for algorithm in os.listdir(f"{LAYOUT}/blobs"):
        for name in os.listdir(f"{LAYOUT}/blobs/{algorithm}"):
            with open(f"{LAYOUT}/blobs/{algorithm}/{name}", "rb") as file:
                BLOBS[f"{algorithm}:{name}"] = file.read()
    with open(f"{LAYOUT}/index.json", encoding="utf-8") as file:
        index = json.load(file)
    for entry in index["manifests"]:
        name = entry.get("annotations", {}).get("org.opencontainers.image.ref.name", "latest")
        MANIFESTS[name] = entry["digest"], entry["mediaType"]


def count(name):
    """How often this was called with the name."""
    with LOCK:
        COUNTS[name] = COUNTS.get(name, 0) + 1
        return COUNTS[name]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self):
        words = (self.headers.get("Authorization") or "-").split()
        with LOCK, open(LOG, "a", encoding="utf-8") as file:
            print(self.command, self.path, self.headers.get("Range") or "-", words[0],
                  self.headers.get("Host"), file=file)

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code, **headers):
        body = json.dumps({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]})
        self.answer(status, body.encode(), Content_Type="application/json", **headers)

    # --- who it is ---

    def password(self):
        words = (self.headers.get("Authorization") or "").split()
        if len(words) == 2 and words[0] == "Basic":
            return base64.b64decode(words[1]).decode()
        return None

    def is_welcome(self):
        kind = OPTIONS.get("auth")
        if kind is None:
            return True
        if kind == "basic":
            if self.password() == "alice:secret":
                return True
            self.refuse(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="tests"')
            return False
        words = (self.headers.get("Authorization") or "").split()
        name = self.path.split("/v2/")[1].split("/")[0]
        actions = "pull" if self.command in ("GET", "HEAD") and "/uploads/" not in self.path else "pull,push"
        wanted = f"repository:{name}:{actions}" if name else ""
        if len(words) == 2 and words[0] == "Bearer":
            granted = SCOPES.get(words[1], [])
            if "tokenuses" in OPTIONS and count(words[1]) > int(OPTIONS["tokenuses"]):
                granted = []
            if not wanted or any(
                    scope.rsplit(":", 1)[0] == wanted.rsplit(":", 1)[0] and
                    set(actions.split(",")) <= set(scope.rsplit(":", 1)[1].split(","))
                    for scope in granted):
                return True
        if self.command in ("PATCH", "PUT"):
            self.body()
        realm = OPTIONS.get("realm", f"http://{self.headers.get('Host')}/token")
        self.refuse(401, "UNAUTHORIZED",
                    WWW_Authenticate=f'Bearer realm="{realm}",service="tests"' +
                    (f',scope="{wanted}"' if wanted else ""))
        return False

    def give_token(self, query):
        scopes = [word for scope in query.get("scope", []) for word in scope.split()]
        is_known = self.password() == "alice:secret"
        if OPTIONS.get("identity"):
            is_known = query.get("refresh_token") == ["refresh"]
        if not is_known and OPTIONS.get("token") != "anonymous":
            self.refuse(401, "DENIED")
            return
        token = f"token-{count('token')}"
        SCOPES[token] = scopes
        name = "access_token" if OPTIONS.get("identity") else "token"
        self.answer(200, json.dumps({name: token, "expires_in": 300}).encode(),
                    Content_Type="application/json")

    # --- what is there ---

    def endless(self, kind):
        """Until the other side has enough of it."""
        more = {"body": b"10000\r\n" + b"x" * 65536 + b"\r\n", "head": b"X-More: " + b"x" * 1000 + b"\r\n",
                "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000}
        self.close_connection = True
        if kind != "continue":
            self.wfile.write(b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n")
        if kind == "body":
            self.wfile.write(b"\r\n")
        try:
            while True:
                self.wfile.write(more[kind])
        except OSError:
            pass

    def layer(self, name, data):
        if self.command == "HEAD":
            self.answer(200, data)
            return
        if "endless" in OPTIONS:
            self.endless(OPTIONS["endless"])
            return
        if "redirect" in OPTIONS:
            self.answer(307, Location=f"http://{OPTIONS['redirect']}/elsewhere/{name}?signature=x")
            return
        if count("layer") <= int(OPTIONS.get("busy", 0)):
            self.refuse(int(OPTIONS.get("busystatus", 429)), "TOOMANYREQUESTS", Retry_After="1")
            return
        if OPTIONS.get("wrong"):
            data = bytes(len(data))
        if count(f"spoilt {name}") <= int(OPTIONS.get("spoilt", 0)):
            data = data[:-1] + bytes([data[-1] ^ 1])
        if OPTIONS.get("short"):
            data = data[:-10]
        if OPTIONS.get("long"):
            data += b"x" * 1000
        self.send_data(data)

    def send_data(self, data):
        first, status, headers = 0, 200, {}
        wanted = self.headers.get("Range")
        if wanted and not OPTIONS.get("norange"):
            first = int(wanted.removeprefix("bytes=").split("-")[0])
            if first >= len(data):
                self.refuse(416, "RANGE_INVALID")
                return
            if OPTIONS.get("badrange"):
                first = max(0, first - 5)
            status = 206
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        data = data[first:]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if "cut" in OPTIONS and count("cut") <= int(OPTIONS.get("cuts", 1 << 30)):
            self.wfile.write(data[:int(OPTIONS["cut"])])
            self.wfile.flush()
            self.connection.shutdown(2)
            self.close_connection = True
            return
        if "stall" in OPTIONS:
            self.wfile.write(data[:int(OPTIONS["stall"])])
            data = data[int(OPTIONS["stall"]):]
            while not os.path.exists("go"):
                time.sleep(0.05)
        self.wfile.write(data)

    def do_GET(self):
        self.note()
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        parts = url.path.split("/")
        if url.path == "/token":
            self.give_token(query)
        elif url.path.startswith("/elsewhere/"):
            self.send_data(BLOBS[parts[2]])
        elif url.path == "/v1/search":
            results = [{"name": "busybox", "description": "small\ttools \u009b2J", "star_count": 7,
                        "is_official": True, "is_automated": False}]
            self.answer(200, json.dumps({"num_results": 1, "results": results}).encode())
        elif not url.path.startswith("/v2/"):
            self.refuse(404, "NOT_FOUND")
        elif self.is_welcome():
            self.serve(parts, query)

    do_HEAD = do_GET

    def serve(self, parts, query):
        names = {name for name, _ in MANIFESTS.values()}
        if parts[2:] == [""]:
            self.answer(200, b"{}")
        elif parts[2:] == ["_catalog"]:
            self.answer(200, json.dumps({"repositories": ["one", "two"]}).encode())
        elif parts[-2:] == ["tags", "list"]:
            self.tags(sorted(name for name in MANIFESTS if ":" not in name), query)
        elif parts[-2] == "referrers" and OPTIONS.get("referrers"):
            self.referrers(parts[-1], query)
        elif parts[-2] == "manifests":
            if self.command == "HEAD" and OPTIONS.get("nohead"):
                self.refuse(405, "UNSUPPORTED")
                return
            tag = "2" if parts[-1] == "1" and os.path.exists(OPTIONS.get("move", "")) else parts[-1]
            name, kind = MANIFESTS.get(tag, (tag, None))
            if name not in BLOBS:
                self.refuse(404, "MANIFEST_UNKNOWN")
                return
            data = BLOBS[name]
            kind = kind or json.loads(data).get("mediaType", "application/octet-stream")
            headers = {}
            if OPTIONS.get("controls"):
                headers = {"Link": "<" + "\1" * 2050 + '>; rel="next"', "OCI_Subject": "\2" * 2080}
            self.answer(200, data, Content_Type=kind,
                        Docker_Content_Digest="\1" * 2080 if headers else name, **headers)
        elif self.command == "HEAD" and parts[2] == OPTIONS.get("hide") and parts[-2] == "blobs":
            self.refuse(404, "BLOB_UNKNOWN")
        elif parts[-2] == "blobs" and parts[-1] in BLOBS:
            data = BLOBS[parts[-1]]
            if parts[-1] in names or data[:1] == b"{":
                self.answer(200, data)
            else:
                self.layer(parts[-1], data)
        elif parts[-2] == "uploads" and parts[-1] in UPLOADS:
            self.answer(204, Location=self.path, Range=f"0-{max(0, len(UPLOADS[parts[-1]]) - 1)}")
        else:
            self.refuse(404, "BLOB_UNKNOWN")

    def made_up(self, subject, number=0):
        """A document that refers to another one."""
        empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2}
        BLOBS[digest(b"{}")] = b"{}"
        data = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                           "artifactType": f"application/made.up.{number}", "config": empty, "layers": [empty],
                           "subject": {"mediaType": "application/vnd.oci.image.manifest.v1+json",
                                       "digest": subject, "size": len(BLOBS.get(subject, b""))}}).encode()
        BLOBS[digest(data)] = data
        return {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(data),
                "size": len(data)}

    def referrers(self, subject, query):
        entries = []
        for name, data in sorted(BLOBS.items()):
            document = json.loads(data) if data[:1] == b"{" else {}
            if document.get("subject", {}).get("digest") == subject:
                entries.append({"mediaType": document["mediaType"], "digest": name, "size": len(data),
                                "artifactType": document.get("artifactType", "")})
        page = int(query.get("page", ["0"])[0])
        headers = {}
        if OPTIONS["referrers"] == "many":
            entries = [self.made_up(subject, number) for number in range(1000 * page, 1000 * page + 1000)]
            headers["Link"] = f'<{self.path.split("?")[0]}?page={page + 1}>; rel="next"'
        elif OPTIONS["referrers"] == "deep":
            entries = [self.made_up(subject)]
        elif page + 1 < len(entries):
            headers["Link"] = f'<{self.path.split("?")[0]}?page={page + 1}>; rel="next"'
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                 "manifests": entries[page:page + 1] if OPTIONS["referrers"] == "1" else entries}
        self.answer(200, json.dumps(index).encode(),
                    Content_Type="application/vnd.oci.image.index.v1+json", **headers)

    def tags(self, tags, query):
        last = query.get("last", [""])[0]
        page = [tag for tag in tags if tag > last][:2]
        headers = {}
        if page and page[-1] != tags[-1]:
            headers["Link"] = f'</v2/many/tags/list?last={page[-1]}>; rel="next"'
        self.answer(200, json.dumps({"name": "many", "tags": page}).encode(), **headers)

    # --- uploads ---

    def body(self, most=None):
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(length if most is None else min(length, most))

    def do_POST(self):
        self.note()
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        if url.path == "/token" and "tokenredirect" in OPTIONS:
            self.body()
            self.answer(307, Location=f"http://{OPTIONS['tokenredirect']}/token")
            return
        if url.path == "/token":
            self.give_token(urllib.parse.parse_qs(self.body().decode()))
            return
        if not self.is_welcome():
            return
        if "mount" in query and not OPTIONS.get("nomount") and query["mount"][0] in BLOBS:
            self.answer(201, Location="/done", Docker_Content_Digest=query["mount"][0])
            return
        name = f"upload-{count('upload')}"
        UPLOADS[name] = b""
        headers = {}
        if "chunkmin" in OPTIONS:
            headers["OCI-Chunk-Min-Length"] = OPTIONS["chunkmin"]
        self.answer(202, Location=f"{url.path}{name}?state=kept", Range="0-0", **headers)

    def do_PATCH(self):
        self.note()
        if not self.is_welcome():
            return
        url = urllib.parse.urlsplit(self.path)
        name = url.path.split("/")[-1]
        if "uploadcut" in OPTIONS and count("uploadcut") == 1:
            UPLOADS[name] += self.body(int(OPTIONS["uploadcut"]))
            self.connection.shutdown(2)
            self.close_connection = True
            return
        data = self.body()
        begin = int((self.headers.get("Content-Range") or "0-0").split("-")[0])
        if begin != len(UPLOADS[name]):
            self.refuse(416, "RANGE_INVALID")
            return
        with LOCK, open(LOG, "a", encoding="utf-8") as file:
            print("piece", len(data), file=file)
        if not OPTIONS.get("keepnothing"):
            UPLOADS[name] += data
        self.answer(202, Location=self.path, Range=f"0-{max(0, len(UPLOADS[name]) - 1)}")

    def do_PUT(self):
        self.note()
        if not self.is_welcome():
            return
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        parts = url.path.split("/")
        data = self.body()
        if parts[-2] == "manifests":
            name = digest(data)
            BLOBS[name] = data
            MANIFESTS[parts[-1]] = name, self.headers.get("Content-Type")
            headers = {}
            if OPTIONS.get("referrers") and "subject" in json.loads(data):
                headers["OCI_Subject"] = json.loads(data)["subject"]["digest"]
            self.answer(201, Location=self.path, Docker_Content_Digest=name, **headers)
            return
        if query.get("state") != ["kept"] or (data and OPTIONS.get("nomonolith")):
            self.refuse(400, "BLOB_UPLOAD_INVALID")
            return
        data = UPLOADS[parts[-1]] + data
        if digest(data) != query["digest"][0]:
            self.refuse(400, "DIGEST_INVALID")
            return
        BLOBS[digest(data)] = data
        self.answer(201, Location="/done", Docker_Content_Digest=digest(data))


def main():
    load()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with open(PORT_FILE + ".new", "w", encoding="utf-8") as file:
        print(server.server_port, file=file)
    os.rename(PORT_FILE + ".new", PORT_FILE)
    server.serve_forever()


main()
