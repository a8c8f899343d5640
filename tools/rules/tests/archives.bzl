"""Tests of package URLs, which must match those of tools/base/debian in the embedded engine."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load("//tools/rules/private:archives.bzl", "archives", "package_urls", "snapshot_times")

def _times_impl(ctx):
    env = unittest.begin(ctx)
    for date, want in {
        "2026-09-12T07:55:41Z": ["20260912T075541Z", "20260913T075541Z"],
        "2026-12-31T23:59:59Z": ["20261231T235959Z", "20270101T235959Z"],
        "2028-02-28T00:00:00Z": ["20280228T000000Z", "20280229T000000Z"],
        "2027-02-28T00:00:00Z": ["20270228T000000Z", "20270301T000000Z"],
        "2026-08-08T08:09:08Z": ["20260808T080908Z", "20260809T080908Z"],
        "2026-09-30T00:00:00+02:00": [],
        "": [],
    }.items():
        asserts.equals(env, want, snapshot_times(date))
    return unittest.end(env)

snapshot_times_test = unittest.make(_times_impl)

def _urls_impl(ctx):
    env = unittest.begin(ctx)
    main = {"path": "pool/a+b%3a1~1.deb"}
    release = {"date": "2026-09-12T07:55:41Z"}
    security = {"date": "2026-09-13T07:55:41Z", "security": True}
    path = "/pool/a%2Bb%253a1~1.deb"

    def urls(origin, mirror = "", security = "", keyring = "", **given):
        return package_urls(main, origin, archives(mirror, security, keyring, lambda name: given.get(name)))

    asserts.equals(env, [
        "https://deb.debian.org/debian" + path,
        "http://snapshot.debian.org/archive/debian/20260912T075541Z" + path,
        "http://snapshot.debian.org/archive/debian/20260913T075541Z" + path,
    ], urls(release))
    asserts.equals(env, [
        "https://deb.debian.org/debian-security" + path,
        "https://security.debian.org/debian-security" + path,
        "http://snapshot.debian.org/archive/debian-security/20260913T075541Z" + path,
        "http://snapshot.debian.org/archive/debian-security/20260914T075541Z" + path,
    ], urls(security))
    asserts.equals(env, ["http://m.example/debian" + path, "http://n.example" + path], urls(
        release,
        MULTIARCH_DEBIAN_MIRROR = "http://m.example/debian/ http://n.example",
        MULTIARCH_DEBIAN_SNAPSHOT = "",
    ))
    asserts.equals(env, [
        "http://m.example/debian-security/x" + path,
        "http://m.example/debian/x" + path,
        "https://deb.debian.org/debian-security" + path,
        "https://security.debian.org/debian-security" + path,
        "http://s.example/debian-security/20260913T075541Z" + path,
        "http://s.example/debian-security/20260914T075541Z" + path,
    ], urls(
        security,
        mirror = "http://m.example/debian/x",
        MULTIARCH_DEBIAN_MIRROR = "http://other.example",
        MULTIARCH_DEBIAN_SNAPSHOT = "http://s.example/",
    ))
    asserts.equals(env, ["http://s.example/s" + path], urls(
        security,
        security = "http://s.example/s",
        keyring = "own.gpg",
    ))
    asserts.equals(env, ["http://s.example/s" + path], urls(
        security,
        keyring = "own.gpg",
        MULTIARCH_DEBIAN_SECURITY_MIRROR = "http://s.example/s",
    ))
    return unittest.end(env)

package_urls_test = unittest.make(_urls_impl)
