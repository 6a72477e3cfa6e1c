import java.io.ByteArrayOutputStream;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import javax.mail.Session;
import javax.mail.internet.MimeBodyPart;
import javax.mail.internet.MimeMessage;
import javax.mail.internet.MimeMultipart;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.jcajce.ZlibCompressor;
import org.bouncycastle.cms.jcajce.ZlibExpanderProvider;
import org.bouncycastle.mail.smime.SMIMECompressed;
import org.bouncycastle.mail.smime.SMIMECompressedGenerator;
import org.bouncycastle.mail.smime.SMIMEEnveloped;
import org.bouncycastle.mail.smime.SMIMEEnvelopedGenerator;
import org.bouncycastle.mail.smime.SMIMESigned;
import org.bouncycastle.mail.smime.SMIMESignedGenerator;
import org.bouncycastle.mail.smime.SMIMEUtil;

/** S/MIME messages. */
final class Mail {
    /**
     * `content`: a MIME entity; `layer`, several times, the innermost first: `clear`, `opaque`, `encrypted`, `compressed`,
     * `authenticated`, `certificates-only`. Signers and recipients as elsewhere.
     */
    static byte[] make(Arguments arguments) throws Exception {
        MimeBodyPart part = SMIMEUtil.toMimeBodyPart(arguments.octets("content"));
        MimeMultipart multipart = null;
        for (String layer : arguments.all("layer")) {
            if (multipart != null) {
                ByteArrayOutputStream entity = new ByteArrayOutputStream();
                entity.write(("Content-Type: " + multipart.getContentType() + "\r\n\r\n").getBytes("US-ASCII"));
                multipart.writeTo(entity);
                part = SMIMEUtil.toMimeBodyPart(entity.toByteArray());
                multipart = null;
            }
            switch (layer) {
                case "clear":
                    multipart = signing(arguments).generate(part);
                    break;
                case "opaque":
                    part = signing(arguments).generateEncapsulated(part);
                    break;
                case "certificates-only":
                    part = certificates(arguments).generateCertificateManagement();
                    break;
                case "encrypted": {
                    SMIMEEnvelopedGenerator generator = new SMIMEEnvelopedGenerator();
                    for (String each : arguments.all("recipient")) {
                        generator.addRecipientInfoGenerator(Enveloped.recipient(each));
                    }
                    part = generator.generate(part, Enveloped.encryptor(arguments));
                    break;
                }
                case "authenticated":
                    // A class that later versions have.
                    Class.forName("org.bouncycastle.mail.smime.SMIMEAuthEnvelopedGenerator");
                    break;
                case "compressed":
                    part = new SMIMECompressedGenerator().generate(part, new ZlibCompressor());
                    break;
                default:
                    throw new IllegalArgumentException("unknown layer " + layer);
            }
        }
        MimeMessage message = new MimeMessage(Session.getDefaultInstance(new Properties()));
        message.setFrom(arguments.text("from"));
        message.setSubject("A message");
        if (multipart != null) message.setContent(multipart);
        else message.setContent(part.getContent(), part.getContentType());
        if (multipart == null) {
            // Of the layer, as generators put them into the part: transfer encoding, disposition, description.
            for (var headers = part.getAllHeaders(); headers.hasMoreElements();) {
                var header = headers.nextElement();
                message.setHeader(header.getName(), header.getValue());
            }
        }
        message.saveChanges();
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        message.writeTo(out);
        return out.toByteArray();
    }

    private static SMIMESignedGenerator signing(Arguments arguments) throws Exception {
        SMIMESignedGenerator generator = certificates(arguments);
        for (String signer : arguments.all("signer")) {
            generator.addSignerInfoGenerator(Signed.signer(signer, arguments));
        }
        return generator;
    }

    /** With the signers' certificates. */
    private static SMIMESignedGenerator certificates(Arguments arguments) throws Exception {
        SMIMESignedGenerator generator = new SMIMESignedGenerator();
        List<X509Certificate> certificates = new ArrayList<>();
        for (String signer : arguments.all("signer")) {
            certificates.add(Arguments.certificate(signer.split(",")[1]));
        }
        generator.addCertificates(new JcaCertStore(certificates));
        return generator;
    }

    /** Takes off every layer, checks every signature, gives the entity inside. */
    static byte[] read(Arguments arguments) throws Exception {
        MimeBodyPart part = SMIMEUtil.toMimeBodyPart(arguments.octets("message"));
        int layers = 0;
        for (; layers < 8; layers++) {
            String type = part.getContentType().replaceAll("[\\s\"]", "").toLowerCase();
            if (type.startsWith("multipart/signed")) {
                SMIMESigned signed = new SMIMESigned((MimeMultipart) part.getContent());
                Signed.verify(signed);
                part = signed.getContent();
            } else if (type.contains("smime-type=signed-data")) {
                SMIMESigned signed = new SMIMESigned(part);
                Signed.verify(signed);
                part = SMIMEUtil.toMimeBodyPart((byte[]) signed.getSignedContent().getContent());
            } else if (type.contains("smime-type=certs-only")) {
                if (new SMIMESigned(part).getCertificates().getMatches(null).isEmpty()) {
                    throw new IllegalArgumentException("no certificate");
                }
                return arguments.octets("content");
            } else if (type.contains("smime-type=enveloped-data")) {
                part = SMIMEUtil.toMimeBodyPart(Enveloped.open(new SMIMEEnveloped(part).getRecipientInfos(), arguments, false));
            } else if (type.contains("smime-type=authenveloped-data")) {
                CMSAuthEnvelopedData opened = new CMSAuthEnvelopedData(part.getInputStream().readAllBytes());
                part = SMIMEUtil.toMimeBodyPart(Enveloped.open(opened.getRecipientInfos(), arguments, true));
            } else if (type.contains("compressed-data")) {
                byte[] content = new SMIMECompressed(part).getContent(new ZlibExpanderProvider());
                part = SMIMEUtil.toMimeBodyPart(content);
            } else {
                break;
            }
        }
        if (layers == 0) throw new IllegalArgumentException("nothing protected: " + part.getContentType());
        return octetsOf(part);
    }

    private static byte[] octetsOf(MimeBodyPart part) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        part.writeTo(out);
        return out.toByteArray();
    }
}
