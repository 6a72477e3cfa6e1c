import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.security.spec.MGF1ParameterSpec;
import javax.crypto.SecretKey;
import javax.crypto.interfaces.DHPublicKey;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedData;
import org.bouncycastle.cms.CMSEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedDataStreamGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.KEKRecipientInformation;
import org.bouncycastle.cms.KeyAgreeRecipientInformation;
import org.bouncycastle.cms.KeyTransRecipientInformation;
import org.bouncycastle.cms.PasswordRecipient;
import org.bouncycastle.cms.PasswordRecipientInformation;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.RecipientInformationStore;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKEKEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKEKRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyAgreeEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JcePasswordEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JcePasswordRecipientInfoGenerator;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.operator.jcajce.JcaAlgorithmParametersConverter;

/** EnvelopedData and AuthEnvelopedData. */
final class Enveloped {
    /**
     * `algorithm` with `key-bits` where it has none of its own; `authenticated` for AuthEnvelopedData; `stream`;
     * `recipient`: a description, see {@link #recipient}.
     */
    static byte[] make(Arguments arguments) throws Exception {
        CMSProcessableByteArray content = new CMSProcessableByteArray(arguments.octets("content"));
        OutputEncryptor encryptor = encryptor(arguments);
        if (arguments.has("authenticated")) {
            CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
            for (String each : arguments.all("recipient")) generator.addRecipientInfoGenerator(recipient(each));
            return generator.generate(content, (OutputAEADEncryptor) encryptor).getEncoded();
        }
        if (arguments.has("stream")) {
            CMSEnvelopedDataStreamGenerator generator = new CMSEnvelopedDataStreamGenerator();
            for (String each : arguments.all("recipient")) generator.addRecipientInfoGenerator(recipient(each));
            generator.setBufferSize(100);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            try (OutputStream stream = generator.open(out, encryptor)) {
                content.write(stream);
            }
            return out.toByteArray();
        }
        CMSEnvelopedDataGenerator generator = new CMSEnvelopedDataGenerator();
        for (String each : arguments.all("recipient")) generator.addRecipientInfoGenerator(recipient(each));
        return generator.generate(content, encryptor).getEncoded();
    }

    static OutputEncryptor encryptor(Arguments arguments) throws Exception {
        ASN1ObjectIdentifier algorithm = new ASN1ObjectIdentifier(arguments.text("algorithm"));
        JceCMSContentEncryptorBuilder builder = arguments.has("key-bits")
            ? new JceCMSContentEncryptorBuilder(algorithm, Integer.parseInt(arguments.text("key-bits")))
            : new JceCMSContentEncryptorBuilder(algorithm);
        return builder.setProvider("BC").build();
    }

    /**
     * Between commas: `transport,certificate`, `transport-by-key-identifier,certificate`,
     * `oaep,certificate,digest,mask digest,label`, `agreement,certificate,scheme,wrap,ukm`, `agreement-by-key-identifier,…`, `shared-key,identifier,key`,
     * `password,password,digest,cipher`.
     */
    static RecipientInfoGenerator recipient(String description) throws Exception {
        String[] parts = description.split(",", -1);
        switch (parts[0]) {
            case "transport":
                return new JceKeyTransRecipientInfoGenerator(Arguments.certificate(parts[1])).setProvider("BC");
            case "transport-by-key-identifier": {
                PublicKey key = Arguments.certificate(parts[1]).getPublicKey();
                byte[] identifier = new JcaX509ExtensionUtils().createSubjectKeyIdentifier(key).getKeyIdentifier();
                return new JceKeyTransRecipientInfoGenerator(identifier, key).setProvider("BC");
            }
            case "oaep": {
                PSource label = parts[4].isEmpty()
                    ? PSource.PSpecified.DEFAULT : new PSource.PSpecified(Arguments.decode(parts[4]));
                AlgorithmIdentifier algorithm = new JcaAlgorithmParametersConverter().getAlgorithmIdentifier(
                    PKCSObjectIdentifiers.id_RSAES_OAEP,
                    new OAEPParameterSpec(parts[2], "MGF1", new MGF1ParameterSpec(parts[3]), label));
                return new JceKeyTransRecipientInfoGenerator(Arguments.certificate(parts[1]), algorithm).setProvider("BC");
            }
            case "agreement":
            case "agreement-by-key-identifier": {
                X509Certificate certificate = Arguments.certificate(parts[1]);
                KeyPair pair = ephemeral(certificate.getPublicKey());
                JceKeyAgreeRecipientInfoGenerator generator = new JceKeyAgreeRecipientInfoGenerator(
                    new ASN1ObjectIdentifier(parts[2]), pair.getPrivate(), pair.getPublic(),
                    new ASN1ObjectIdentifier(parts[3]));
                if (!parts[4].isEmpty()) generator.setUserKeyingMaterial(Arguments.decode(parts[4]));
                if (parts[0].equals("agreement")) return generator.addRecipient(certificate).setProvider("BC");
                PublicKey key = certificate.getPublicKey();
                byte[] identifier = new JcaX509ExtensionUtils().createSubjectKeyIdentifier(key).getKeyIdentifier();
                return generator.addRecipient(identifier, key).setProvider("BC");
            }
            case "shared-key": {
                SecretKey key = new SecretKeySpec(Arguments.decode(parts[2]), "AES");
                return new JceKEKRecipientInfoGenerator(Arguments.decode(parts[1]), key).setProvider("BC");
            }
            case "password":
                return new JcePasswordRecipientInfoGenerator(new ASN1ObjectIdentifier(parts[3]), parts[1].toCharArray())
                    .setProvider("BC")
                    .setPasswordConversionScheme(PasswordRecipient.PKCS5_SCHEME2_UTF8)
                    .setPRF(prf(parts[2]));
            default:
                throw new IllegalArgumentException("unknown recipient " + parts[0]);
        }
    }

    private static PasswordRecipient.PRF prf(String digest) {
        switch (digest) {
            case "sha1":
                return PasswordRecipient.PRF.HMacSHA1;
            case "sha224":
                return PasswordRecipient.PRF.HMacSHA224;
            case "sha256":
                return PasswordRecipient.PRF.HMacSHA256;
            case "sha384":
                return PasswordRecipient.PRF.HMacSHA384;
            default:
                return PasswordRecipient.PRF.HMacSHA512;
        }
    }

    private static KeyPair ephemeral(PublicKey recipient) throws Exception {
        KeyPairGenerator generator;
        if (recipient instanceof ECPublicKey) {
            generator = KeyPairGenerator.getInstance("EC", "BC");
            generator.initialize(((ECPublicKey) recipient).getParams());
        } else if (recipient instanceof DHPublicKey) {
            generator = KeyPairGenerator.getInstance("DH", "BC");
            generator.initialize(((DHPublicKey) recipient).getParams());
        } else {
            generator = KeyPairGenerator.getInstance(recipient.getAlgorithm(), "BC");
        }
        return generator.generateKeyPair();
    }

    /**
     * `key` and `certificate`, or `shared-key`, or `password`: who reads.
     */
    static byte[] read(Arguments arguments) throws Exception {
        byte[] octets = arguments.octets("message");
        boolean authenticated = arguments.has("authenticated");
        RecipientInformationStore recipients = authenticated
            ? new CMSAuthEnvelopedData(octets).getRecipientInfos()
            : new CMSEnvelopedData(octets).getRecipientInfos();
        return open(recipients, arguments, authenticated);
    }

    static byte[] open(RecipientInformationStore recipients, Arguments arguments, boolean authenticated) throws Exception {
        Exception last = new IllegalArgumentException("no recipient");
        for (RecipientInformation each : recipients.getRecipients()) {
            Recipient reader = reader(each, arguments, authenticated);
            if (reader == null) continue;
            try {
                return each.getContent(reader);
            } catch (Exception problem) {
                last = problem;
            }
        }
        throw last;
    }

    @SuppressWarnings("unchecked")
    private static Recipient reader(RecipientInformation info, Arguments arguments, boolean authenticated) throws Exception {
        if (info instanceof PasswordRecipientInformation && arguments.has("password")) {
            require(authenticated, "JcePasswordAuthEnvelopedRecipient");
            return new JcePasswordEnvelopedRecipient(arguments.text("password").toCharArray())
                .setPasswordConversionScheme(PasswordRecipient.PKCS5_SCHEME2_UTF8).setProvider("BC");
        }
        if (info instanceof KEKRecipientInformation && arguments.has("shared-key")) {
            require(authenticated, "JceKEKAuthEnvelopedRecipient");
            return new JceKEKEnvelopedRecipient(new SecretKeySpec(arguments.octets("shared-key"), "AES")).setProvider("BC");
        }
        if (!arguments.has("key")) return null;
        X509Certificate certificate = Arguments.certificate(arguments.text("certificate"));
        PrivateKey key = Arguments.privateKey(arguments.text("key"));
        if (!info.getRID().match(new X509CertificateHolder(certificate.getEncoded()))) return null;
        if (info instanceof KeyTransRecipientInformation) {
            return authenticated
                ? new JceKeyTransAuthEnvelopedRecipient(key).setProvider("BC")
                : new JceKeyTransEnvelopedRecipient(key).setProvider("BC");
        }
        if (info instanceof KeyAgreeRecipientInformation) {
            require(authenticated, "JceKeyAgreeAuthEnvelopedRecipient");
            return new JceKeyAgreeEnvelopedRecipient(key).setProvider("BC");
        }
        return null;
    }

    /** What the library has no class for, in Java's own words. */
    private static void require(boolean needed, String name) throws ClassNotFoundException {
        if (needed) Class.forName("org.bouncycastle.cms.jcajce." + name);
    }
}
