import java.io.ByteArrayInputStream;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;

/** A command with its arguments; a name may stand several times. */
final class Arguments {
    private final String command;
    private final Map<String, List<String>> values = new HashMap<>();

    Arguments(String line) {
        String[] parts = line.split("\t");
        command = parts[0];
        for (int i = 1; i < parts.length; i++) {
            int equals = parts[i].indexOf('=');
            String name = parts[i].substring(0, equals);
            values.computeIfAbsent(name, unused -> new ArrayList<>()).add(parts[i].substring(equals + 1));
        }
    }

    String command() {
        return command;
    }

    boolean has(String name) {
        return values.containsKey(name);
    }

    List<String> all(String name) {
        return values.getOrDefault(name, List.of());
    }

    String text(String name) {
        List<String> found = all(name);
        if (found.size() != 1) throw new IllegalArgumentException(found.size() + " values of " + name);
        return found.get(0);
    }

    byte[] octets(String name) {
        return decode(text(name));
    }

    static byte[] decode(String base64) {
        return Base64.getDecoder().decode(base64);
    }

    /** @param base64 PrivateKeyInfo */
    static PrivateKey privateKey(String base64) throws Exception {
        byte[] octets = decode(base64);
        String algorithm = PrivateKeyInfo.getInstance(octets).getPrivateKeyAlgorithm().getAlgorithm().getId();
        return KeyFactory.getInstance(algorithm, "BC").generatePrivate(new PKCS8EncodedKeySpec(octets));
    }

    static X509Certificate certificate(String base64) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509", "BC");
        return (X509Certificate) factory.generateCertificate(new ByteArrayInputStream(decode(base64)));
    }
}
