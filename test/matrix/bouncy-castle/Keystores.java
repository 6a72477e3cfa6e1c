import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.security.Key;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.Enumeration;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.DERNull;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.SubjectKeyIdentifier;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.operator.DefaultDigestAlgorithmIdentifierFinder;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.pkcs.PKCS12PfxPduBuilder;
import org.bouncycastle.pkcs.PKCS12SafeBag;
import org.bouncycastle.pkcs.PKCS12SafeBagBuilder;
import org.bouncycastle.pkcs.jcajce.JcePKCS12MacCalculatorBuilder;
import org.bouncycastle.pkcs.jcajce.JcePKCSPBEOutputEncryptorBuilder;

/** PKCS#12 files. */
final class Keystores {
    /** `type`: one of Bouncy Castle's names of PKCS#12 keystores. */
    static byte[] make(Arguments arguments) throws Exception {
        KeyStore store = KeyStore.getInstance(arguments.text("type"), "BC");
        char[] password = arguments.text("password").toCharArray();
        store.load(null, null);
        Certificate[] chain = new Certificate[arguments.all("certificate").size()];
        for (int i = 0; i < chain.length; i++) chain[i] = Arguments.certificate(arguments.all("certificate").get(i));
        store.setKeyEntry("key", Arguments.privateKey(arguments.text("key")), password, chain);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        store.store(out, password);
        return out.toByteArray();
    }

    /** `cipher`, `prf`, `mac`: with the classes below the keystores, which choose for themselves. */
    static byte[] makePbes2(Arguments arguments) throws Exception {
        char[] password = arguments.text("password").toCharArray();
        ASN1ObjectIdentifier cipher = new ASN1ObjectIdentifier(arguments.text("cipher"));
        X509CertificateHolder certificate = new X509CertificateHolder(arguments.octets("certificate"));
        SubjectKeyIdentifier same =
            new JcaX509ExtensionUtils().createSubjectKeyIdentifier(certificate.getSubjectPublicKeyInfo());
        PKCS12SafeBag key = new PKCS12SafeBagBuilder(
            PrivateKeyInfo.getInstance(arguments.octets("key")), encryptor(cipher, arguments.text("prf"), password))
            .addBagAttribute(PKCS12SafeBag.localKeyIdAttribute, same).build();
        PKCS12SafeBag named = new PKCS12SafeBagBuilder(certificate)
            .addBagAttribute(PKCS12SafeBag.localKeyIdAttribute, same).build();
        PKCS12PfxPduBuilder builder = new PKCS12PfxPduBuilder();
        builder.addData(key);
        builder.addEncryptedData(encryptor(cipher, arguments.text("prf"), password), named);
        AlgorithmIdentifier digest = new DefaultDigestAlgorithmIdentifierFinder().find(arguments.text("mac"));
        return builder.build(
            new JcePKCS12MacCalculatorBuilder(digest.getAlgorithm()).setProvider("BC"), password).getEncoded();
    }

    private static OutputEncryptor encryptor(ASN1ObjectIdentifier cipher, String prf, char[] password) throws Exception {
        AlgorithmIdentifier function = new AlgorithmIdentifier(
            prf.equals("sha1") ? PKCSObjectIdentifiers.id_hmacWithSHA1
                : prf.equals("sha512") ? PKCSObjectIdentifiers.id_hmacWithSHA512
                : PKCSObjectIdentifiers.id_hmacWithSHA256, DERNull.INSTANCE);
        return new JcePKCSPBEOutputEncryptorBuilder(cipher).setProvider("BC").setPRF(function).build(password);
    }

    /** The private key as PrivateKeyInfo. */
    static byte[] read(Arguments arguments) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12", "BC");
        char[] password = arguments.text("password").toCharArray();
        store.load(new ByteArrayInputStream(arguments.octets("message")), password);
        for (Enumeration<String> names = store.aliases(); names.hasMoreElements();) {
            String name = names.nextElement();
            Key key = store.getKey(name, password);
            if (key != null && store.getCertificate(name) != null) return key.getEncoded();
        }
        throw new IllegalArgumentException("no private key with a certificate");
    }
}
