import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.bouncycastle.asn1.ASN1EncodableVector;
import org.bouncycastle.asn1.DEROctetString;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.ess.ESSCertIDv2;
import org.bouncycastle.asn1.ess.SigningCertificateV2;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cms.CMSAbsentContent;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.CMSSignedDataStreamGenerator;
import org.bouncycastle.cms.DefaultSignedAttributeTableGenerator;
import org.bouncycastle.cms.SignerInfoGenerator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.SignerInformationStore;
import org.bouncycastle.cms.SignerInformationVerifier;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.util.Store;

/** SignedData. */
final class Signed {
    /**
     * `signer`: key, certificate and algorithm between commas, several times. `detached`, `bare` (without signed
     * attributes), `key-identifier`, `stream`, `countersigner` as a signer.
     */
    static byte[] make(Arguments arguments) throws Exception {
        byte[] content = arguments.octets("content");
        List<SignerInfoGenerator> signers = new ArrayList<>();
        List<X509Certificate> certificates = new ArrayList<>();
        for (String signer : arguments.all("signer")) {
            signers.add(signer(signer, arguments));
            certificates.add(Arguments.certificate(signer.split(",")[1]));
        }
        for (String signer : arguments.all("countersigner")) certificates.add(Arguments.certificate(signer.split(",")[1]));
        boolean encapsulate = !arguments.has("detached");
        if (arguments.has("stream")) {
            CMSSignedDataStreamGenerator generator = new CMSSignedDataStreamGenerator();
            for (SignerInfoGenerator signer : signers) generator.addSignerInfoGenerator(signer);
            generator.addCertificates(new JcaCertStore(certificates));
            generator.setBufferSize(100);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            try (OutputStream stream = generator.open(out, encapsulate)) {
                stream.write(content);
            }
            return out.toByteArray();
        }
        CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
        for (SignerInfoGenerator signer : signers) generator.addSignerInfoGenerator(signer);
        generator.addCertificates(new JcaCertStore(certificates));
        CMSSignedData made = generator.generate(new CMSProcessableByteArray(content), encapsulate);
        if (!arguments.has("countersigner")) return made.getEncoded();
        SignerInformation first = made.getSignerInfos().getSigners().iterator().next();
        CMSSignedDataGenerator counter = new CMSSignedDataGenerator();
        counter.addSignerInfoGenerator(signer(arguments.text("countersigner"), arguments));
        SignerInformation both = SignerInformation.addCounterSigners(first, counter.generateCounterSigners(first));
        return CMSSignedData.replaceSigners(made, new SignerInformationStore(both)).getEncoded();
    }

    static SignerInfoGenerator signer(String description, Arguments arguments) throws Exception {
        String[] parts = description.split(",");
        PrivateKey key = Arguments.privateKey(parts[0]);
        X509Certificate certificate = Arguments.certificate(parts[1]);
        ContentSigner signer = contentSigner(parts[2], key);
        JcaSignerInfoGeneratorBuilder builder =
            new JcaSignerInfoGeneratorBuilder(new JcaDigestCalculatorProviderBuilder().setProvider("BC").build());
        if (arguments.has("bare")) {
            builder.setDirectSignature(true);
        } else {
            byte[] hash = java.security.MessageDigest.getInstance("SHA-256").digest(certificate.getEncoded());
            SigningCertificateV2 named = new SigningCertificateV2(new ESSCertIDv2(hash));
            ASN1EncodableVector more = new ASN1EncodableVector();
            more.add(new Attribute(PKCSObjectIdentifiers.id_aa_signingCertificateV2, new DERSet(named)));
            builder.setSignedAttributeGenerator(new DefaultSignedAttributeTableGenerator(new AttributeTable(more)));
        }
        if (arguments.has("key-identifier")) {
            byte[] identifier = new JcaX509ExtensionUtils()
                .createSubjectKeyIdentifier(certificate.getPublicKey()).getKeyIdentifier();
            return builder.build(signer, identifier);
        }
        return builder.build(signer, certificate);
    }

    /** A name of Bouncy Castle's, or `PSS:digest:mask digest:salt`. */
    private static ContentSigner contentSigner(String algorithm, PrivateKey key) throws Exception {
        String[] pss = algorithm.split(":");
        JcaContentSignerBuilder builder = pss[0].equals("PSS")
            ? new JcaContentSignerBuilder("RSASSA-PSS",
                new PSSParameterSpec(pss[1], "MGF1", new MGF1ParameterSpec(pss[2]), Integer.parseInt(pss[3]), 1))
            : new JcaContentSignerBuilder(algorithm);
        return builder.setProvider("BC").build(key);
    }

    /** Verifies every signature, countersignatures among them; gives the content. */
    static byte[] read(Arguments arguments) throws Exception {
        byte[] octets = arguments.octets("message");
        CMSSignedData message = arguments.has("content")
            ? new CMSSignedData(new CMSProcessableByteArray(arguments.octets("content")), octets)
            : new CMSSignedData(octets);
        verify(message);
        return (byte[]) message.getSignedContent().getContent();
    }

    static void verify(CMSSignedData message) throws Exception {
        Collection<SignerInformation> signers = message.getSignerInfos().getSigners();
        if (signers.isEmpty()) throw new IllegalArgumentException("no signer");
        for (SignerInformation signer : signers) {
            verify(signer, message.getCertificates());
            for (SignerInformation other : signer.getCounterSignatures().getSigners()) {
                verify(other, message.getCertificates());
            }
        }
    }

    @SuppressWarnings("unchecked")
    private static void verify(SignerInformation signer, Store<X509CertificateHolder> certificates) throws Exception {
        Collection<X509CertificateHolder> found = certificates.getMatches(signer.getSID());
        if (found.isEmpty()) throw new IllegalArgumentException("no certificate of the signer");
        SignerInformationVerifier verifier =
            new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(found.iterator().next());
        if (!signer.verify(verifier)) throw new IllegalArgumentException("the signature is bad");
    }

    static byte[] certificatesOnly(Arguments arguments) throws Exception {
        List<X509Certificate> certificates = new ArrayList<>();
        for (String each : arguments.all("certificate")) certificates.add(Arguments.certificate(each));
        CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
        generator.addCertificates(new JcaCertStore(certificates));
        return generator.generate(new CMSAbsentContent()).getEncoded();
    }

    /** The certificates of a message, one after the other. */
    static byte[] certificates(Arguments arguments) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (X509CertificateHolder each : new CMSSignedData(arguments.octets("message")).getCertificates().getMatches(null)) {
            out.write(each.getEncoded());
        }
        return out.toByteArray();
    }
}
