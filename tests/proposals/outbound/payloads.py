"""Ways to ask for what may not be reached. `{port}` is where a canary listens on loopback."""

AT = "https://{host}:{port}/x"

NAMES = {  # what the resolver of the tests answers; all else must be a number
    "localhost": ["127.0.0.1", "::1"],
    "localhost.localdomain": ["127.0.0.1"],
    "ip6-localhost": ["::1"],
    "127.0.0.1.wildcard.test": ["127.0.0.1"],
    "loopback.test": ["127.0.0.53"],
    "six.test": ["::1"],
    "any.test": ["0.0.0.0"],
    "any-six.test": ["::"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "translated.test": ["64:ff9b::7f00:1"],
    "last-is-private.test": ["93.184.216.34", "2606:2800:220:1::1", "127.0.0.1"],
    "first-is-private.test": ["127.0.0.1", "93.184.216.34"],
    "metadata.test": ["169.254.169.254"],
    "scoped.test": ["fe80::1%1"],
    "private.test": ["10.0.0.1"],
    "carrier.test": ["100.64.0.1"],
    "unique.test": ["fd00:ec2::254"],
}
NUMBERS = """
    127.0.0.1 127.0.0.2 127.0.0.53 127.255.255.254 127.1 127.0.1 2130706433 017700000001 0x7f000001
    0x7F000001 0x7f.1 0x7f.0.0.1 0x7F.0x0.0x0.0x1 0177.1 0177.0.0.1 0177.0.0.01 00000177.0.0.1
    127.000.000.001 0127.0.0.1 0x7f.0.0x1 127.0.0.0x1 0.0.0.0 0 0x0 00 0.0 0.1.2.3 127.0.0.1.
    localhost. LOCALHOST 256.256.256.256 127.0.0.1.1 127.0.0.256
    10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 100.100.100.200
    169.254.169.254 169.254.0.1 2852039166 0xA9FEA9FE 0251.0376.0251.0376 192.0.0.192 192.0.2.1
    198.18.0.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255
    [::1] [0:0:0:0:0:0:0:1] [0000::0001] [::] [::0] [::ffff:127.0.0.1] [::ffff:7f00:1]
    [::FFFF:127.0.0.1] [::ffff:0.0.0.0] [::127.0.0.1] [::7f00:1] [::ffff:0:127.0.0.1]
    [64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2002:7f00:1::1]
    [2002:a00:1::] [2001:0:4136:e378:8000:63bf:80ff:fffe] [2001:0:7f00:1:8000:63bf:f7f7:f7f7]
    [fe80::1] [fe80::1%25lo] [::1%25lo] [::1%lo] [fc00::1] [fd00::1] [fd00:ec2::254] [fec0::1]
    [ff02::1] [::ffff:169.254.169.254] [::ffff:10.0.0.1] [100::1] [2001:db8::1] [3fff::1]
    [2001:10::1] [5f00::1] 192.88.99.1
"""
TRICKS = [
    # brackets
    "https://[127.0.0.1]:{port}/",
    "https://[localhost]:{port}/",
    "https://[[::1]]:{port}/",
    "https://[::1]hooks.example:{port}/",
    "https://[::1].hooks.example:{port}/",
    "https://hooks.example[::1]:{port}/",
    "https://[::1:{port}/",
    "https://::1]:{port}/",
    "https://::1:{port}/",
    "https://[v1.127.0.0.1]:{port}/",
    "https://[::1]:{port}:443/",
    # a user in front, or something that looks like one
    "https://hooks.example@127.0.0.1:{port}/",
    "https://hooks.example:443@127.0.0.1:{port}/",
    "https://@127.0.0.1:{port}/",
    "https://:@127.0.0.1:{port}/",
    "https://hooks.example%40127.0.0.1:{port}/",
    "https://hooks.example#@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}#@hooks.example/",
    "https://127.0.0.1:{port}@hooks.example/",
    # what one reader takes for a slash, or skips
    "https://hooks.example\\@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}\\@hooks.example/",
    "https:\\\\127.0.0.1:{port}/",
    "https://127.0.0.1:{port}\t/",
    "https://hooks.example\t@127.0.0.1:{port}/",
    "ht\ttps://127.0.0.1:{port}/",
    "https://127.0.\n0.1:{port}/",
    "https://127.0.0.1:{port}/\r\nHost: hooks.example",
    " https://127.0.0.1:{port}/",
    "\x00https://127.0.0.1:{port}/",
    "https://127.0.0.1\x00.hooks.example:{port}/",
    "https://127.0.0.1 :{port}/",
    "https://127.0.0.1\xa0:{port}/",
    # letters and digits of other scripts
    "https://①②⑦.⓪.⓪.①:{port}/",
    "https://１２７.0.0.1:{port}/",
    "https://127。0。0。1:{port}/",
    "https://127．0．0．1:{port}/",
    "https://127｡0｡0｡1:{port}/",
    "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
    "https://local\u00adhost:{port}/",
    "https://local\u200bhost:{port}/",
    "https://ℓocalhost:{port}/",
    "https://127.0.0.1:４４３/",
    "https://xn--127-.0.0.1:{port}/",
    "https://xn--localhost-:{port}/",
    # percent signs
    "https://%31%32%37.0.0.1:{port}/",
    "https://127%2e0%2e0%2e1:{port}/",
    "https://%6cocalhost:{port}/",
    "https://localhost%00.hooks.example:{port}/",
    "https://localhost%2f.hooks.example:{port}/",
    "https://%5b::1%5d:{port}/",
    # ports
    "https://127.0.0.1:0{port}/",
    "https://127.0.0.1:+{port}/",
    "https://127.0.0.1:-{port}/",
    "https://127.0.0.1::{port}/",
    "https://127.0.0.1:{port}:/",
    "https://127.0.0.1:{port}%20/",
    "https://127.0.0.1:/",
    "https://127.0.0.1:443{port}/",
    "https://127.0.0.1:22/",
    # schemes
    "HTTPS://127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET%20/",
    "dict://127.0.0.1:{port}/",
    "ws://127.0.0.1:{port}/",
    "file://127.0.0.1:{port}/etc/passwd",
    "unix:///127.0.0.1:{port}",
    "https:127.0.0.1:{port}/",
    "https:/127.0.0.1:{port}/",
    "https:///127.0.0.1:{port}/",
    "https:////127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    "https+unix://127.0.0.1:{port}/",
    "jar:https://127.0.0.1:{port}!/",
    "https://?@127.0.0.1:{port}/",
    "https://./127.0.0.1:{port}/",
    "https://*:{port}/",
]
PAYLOADS = [*(AT.replace("{host}", host) for host in [*NAMES, *NUMBERS.split()]), *TRICKS]


def payloads(port: int) -> list[str]:
    return [one.replace("{port}", str(port)) for one in PAYLOADS]
