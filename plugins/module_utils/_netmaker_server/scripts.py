# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Two shell scripts that timers and the module run: they make and renew certificates, and they back up."""

from __future__ import annotations

from .._files import FileSpec
from . import layout
from .layout import NOTICE, Wanted

DUE = 3
"""Exit status of the certificate script with ``--check`` when it has something to do."""

_CERTIFICATE = """\
#!/bin/sh
# {notice}
# Makes the CA and its certificate where they are missing or soon too old, and starts anew what runs with another one.
# With --check it does nothing and ends with {due} when there is something to do.
set -eu
umask 077
etc={etc} crt={crt} key={key}
{make}
stale() {{
    for unit in {units}; do
        loaded=/run/credentials/$unit/tls.crt
        [ ! -e "$loaded" ] || cmp -s "$crt" "$loaded" || echo "$unit"
    done
}}

if [ "${{1-}}" = --check ]; then
    if valid && [ -z "$(stale)" ]; then exit 0; else exit {due}; fi
fi
valid || make
for unit in $(stale); do systemctl try-restart "$unit"; done
"""

_OWN_CA = """\
ca_valid() { openssl x509 -in $etc/ca.crt -noout -checkend 86400 >/dev/null 2>&1 && [ -s $etc/ca.key ]; }

valid() {
    ca_valid &&
        openssl verify -CAfile $etc/ca.crt "$crt" >/dev/null 2>&1 &&
        openssl x509 -in "$crt" -noout -checkend $((30 * 86400)) >/dev/null &&
        openssl x509 -in "$crt" -noout -ext subjectAltName | grep -qx ' *DNS:api.@D@, DNS:broker.@D@' &&
        [ "$(openssl x509 -in "$crt" -noout -pubkey)" = "$(openssl pkey -in "$key" -pubout)" ]
}

# The CA can vouch for the names of this server and for nothing else, because every client trusts it for everything.
make() {
    work=$(mktemp -d $etc/.new.XXXXXX)
    trap 'rm -rf "$work"' EXIT
    if ! ca_valid; then
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 7300 -config /dev/stdin \\
            -keyout "$work/ca.key" -out "$work/ca.crt" 2>"$work/log" <<END || { cat "$work/log" >&2; exit 1; }
[req]
distinguished_name = name
x509_extensions = ca
prompt = no
[name]
CN = Netmaker CA of @D@
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
nameConstraints = critical, permitted;DNS:@D@, excluded;IP:0.0.0.0/0.0.0.0, excluded;IP:::/::
END
        chmod 644 "$work/ca.crt"
        mv "$work/ca.key" "$work/ca.crt" $etc/
    fi
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=api.@D@" \\
        -keyout "$work/tls.key" -out "$work/csr" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
    printf '%s\\n' 'basicConstraints = critical, CA:FALSE' 'keyUsage = critical, digitalSignature' \\
        'extendedKeyUsage = serverAuth' 'authorityKeyIdentifier = keyid' \\
        'subjectAltName = DNS:api.@D@, DNS:broker.@D@' >"$work/extensions"
    openssl x509 -req -in "$work/csr" -CA $etc/ca.crt -CAkey $etc/ca.key -set_serial "0x$(openssl rand -hex 16)" \\
        -days 397 -extfile "$work/extensions" -out "$work/tls.crt" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
    mv "$work/tls.key" "$key"
    mv "$work/tls.crt" "$crt"
}
"""

_FILES = """\
valid() { [ -s "$crt" ] && [ -s "$key" ]; }
make() { echo "$crt or $key is missing: put the certificate there" >&2; exit 1; }
"""

_BACKUP = """\
#!/bin/sh
# {notice}
# Copies the database while the server runs, with all that a new host needs to take its place.
set -eu
umask 077
db={database} to={backups}
[ -e "$db" ] || {{ echo "There is no $db to back up." >&2; exit 0; }}
mkdir -p "$to"
work=$(mktemp -d {data}/.backup.XXXXXX)
trap 'rm -rf "$work" "$to/.new"' EXIT
chown {user} "$work"
# As the server's own user, lest the database's side files become root's.
as_server() {{ setpriv --reuid={user} --regid={user} --clear-groups -- "$@"; }}
as_server sqlite3 "$db" '.timeout 20000' ".backup $work/netmaker.db" >/dev/null
[ "$(as_server sqlite3 "$work/netmaker.db" 'PRAGMA integrity_check')" = ok ]
printf '%s\\n' '{version}' >"$work/version"
for file in {files}; do [ ! -e "$file" ] || cp "$file" "$work/"; done
tar -C "$work" -czf "$to/.new" .
mv "$to/.new" "$to/netmaker-$(date -u +%Y%m%dT%H%M%SZ).tar.gz"
ls -1r "$to"/netmaker-*.tar.gz | tail -n +{oldest} | while read -r old; do rm -f "$old"; done
"""

BACKED_UP = (
    *(layout.ENVIRONMENT, layout.PASSWORDS, layout.CA_KEY, layout.CA_CERTIFICATE),
    *(layout.TLS_KEY, layout.TLS_CERTIFICATE),
)


def certificate_script(wanted: Wanted) -> str:
    certificate, key = wanted.tls
    return _CERTIFICATE.format(
        notice=NOTICE,
        due=DUE,
        etc=layout.ETC,
        crt=certificate,
        key=key,
        make=_OWN_CA.replace("@D@", wanted.domain) if wanted.own_ca else _FILES,
        units=f"{layout.FRONT} {layout.BROKER}",
    )


def backup_script(wanted: Wanted) -> str:
    return _BACKUP.format(
        notice=NOTICE,
        database=layout.DATABASE,
        backups=wanted.backups,
        data=layout.DATA,
        user=layout.USER,
        version=wanted.version,
        files=" ".join(BACKED_UP),
        oldest=wanted.keep + 1,
    )


def script_files(wanted: Wanted) -> list[FileSpec]:
    return [
        FileSpec(layout.CERTIFICATE_SCRIPT, certificate_script(wanted), 0o755),
        FileSpec(layout.BACKUP_SCRIPT, backup_script(wanted), 0o755),
    ]
