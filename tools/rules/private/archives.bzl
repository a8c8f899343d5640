"""URLs of the Debian packages in multiarch.lock: mirrors first, then the snapshot archive."""

_MIRROR = "https://deb.debian.org/debian"
_SECURITY = ["https://deb.debian.org/debian-security", "https://security.debian.org/debian-security"]
_SNAPSHOT = "http://snapshot.debian.org/archive"

def archives(mirror, security, keyring, getenv):
    """Returns the mirrors of a base. tools/base/debian/mirrors.go does the same for the embedded engine.

    Args:
        mirror: mirror of the base in multiarch.yaml, or "".
        security: mirror of the security archive in multiarch.yaml, or "".
        keyring: file with the archive's keys, or "" for Debian's.
        getenv: function that returns the value of an environment variable, or None.

    Returns:
        a struct: mirrors of the suite, mirrors of its security updates, and the base URL of the snapshot archive or "".
    """
    given = _words(mirror) or _words(getenv("MULTIARCH_DEBIAN_MIRROR"))
    chosen = _words(security) or _words(getenv("MULTIARCH_DEBIAN_SECURITY_MIRROR"))
    snapshot = getenv("MULTIARCH_DEBIAN_SNAPSHOT")
    if snapshot == None:
        # Do not disclose the names of private packages to snapshot.debian.org.
        private = keyring or getenv("MULTIARCH_DEBIAN_KEYRING")
        snapshot = "" if private else _SNAPSHOT
    return struct(
        main = given or [_MIRROR],
        security = chosen or (_unique(_siblings(given) + given + _SECURITY)),
        snapshot = snapshot.rstrip("/"),
    )

def package_urls(package, origin, where):
    """Returns the URLs of a package, in the order to try them.

    Args:
        package: the package's entry in multiarch.lock.
        origin: the lock's entry for the Release file that lists the package.
        where: result of archives().

    Returns:
        a list of URLs.
    """
    mirrors, name = where.main, "debian"
    if origin.get("security"):
        mirrors, name = where.security, "debian-security"
    bases = list(mirrors)
    if where.snapshot:
        bases += ["{}/{}/{}".format(where.snapshot, name, at) for at in snapshot_times(origin.get("date", ""))]
    path = package["path"].replace("%", "%25").replace("+", "%2B")
    return [base + "/" + path for base in bases]

def snapshot_times(date):
    """Returns the snapshots that may contain the packages of a Release, in the archive's time format.

    The last snapshot before the Release was signed may lack packages that the Release added. One day later they are in,
    and packages that the Release removed are still there.

    Args:
        date: date of the Release, such as 2026-09-12T07:55:41Z.

    Returns:
        that time and the time one day later, or nothing if the date is not in UTC.
    """
    day, t, time = date.partition("T")
    numbers = day.split("-")
    if not t or not time.endswith("Z") or len(numbers) != 3:
        return []
    time = "T" + time.replace(":", "")
    return [day.replace("-", "") + time, _next_day(*[int(n, 10) for n in numbers]) + time]

def _next_day(year, month, day):
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    day += 1
    if day > days[month - 1]:
        day = 1
        month += 1
    if month > 12:
        month = 1
        year += 1
    return "{}{}{}".format(_digits(year, 4), _digits(month, 2), _digits(day, 2))

def _digits(number, width):
    text = str(number)
    return "0" * (width - len(text)) + text

def _words(text):
    return [w.rstrip("/") for w in (text or "").split(" ") if w]

def _siblings(mirrors):
    """Returns the security archives next to mirrors: .../debian-security for .../debian."""
    found = []
    for mirror in mirrors:
        parts = mirror.split("/")
        for i in range(len(parts) - 1, 2, -1):  # parts[:3] are the scheme and the host
            if parts[i] == "debian":
                found.append("/".join(parts[:i] + ["debian-security"] + parts[i + 1:]))
                break
    return found

def _unique(words):
    return {w: None for w in words}.keys()
