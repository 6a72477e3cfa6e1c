"""What Python's ldap3 finds, as JSON: argv is the port, the CA's file, the base and a filter."""

import json
import ssl
import sys

import ldap3

port, ca_file, base, wanted = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
tls = ldap3.Tls(ca_certs_file=ca_file, validate=ssl.CERT_REQUIRED)
server = ldap3.Server("localhost", port=port, tls=tls, get_info=ldap3.DSA)
connection = ldap3.Connection(server, auto_bind=ldap3.AUTO_BIND_TLS_BEFORE_BIND, read_only=True)
connection.search(base, wanted, attributes=["cn", "mail", "userCertificate;binary"])
found = [
    {
        "dn": entry["dn"],
        "cn": [text.decode() for text in entry["raw_attributes"]["cn"]],
        "certificates": [der.hex() for der in entry["raw_attributes"]["userCertificate;binary"]],
    }
    for entry in connection.response
]
print(
    json.dumps(
        {
            "contexts": server.info.naming_contexts,
            "versions": server.info.supported_ldap_versions,
            "found": found,
            "result": connection.result["description"],
            "who": connection.extend.standard.who_am_i(),
        }
    )
)
