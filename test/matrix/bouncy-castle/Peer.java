import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.security.Security;
import java.util.Base64;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/**
 * Bouncy Castle for the matrix of interoperation: one process that makes and reads messages as it is told.
 *
 * <p>A line on standard input is a command and its arguments, `name=value`, between tabs; octets are in base64. One line
 * on standard output answers it: `ok` and the octets in base64, or `no` and the words of the library in base64.
 */
public final class Peer {
    public static void main(String[] args) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        // Whatever a library prints must not be taken for an answer.
        System.setOut(System.err);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String answer;
            try {
                answer = "ok " + base64(run(new Arguments(line)));
            } catch (Exception | LinkageError problem) {
                answer = "no " + base64(words(problem).getBytes(StandardCharsets.UTF_8));
            }
            out.println(answer);
        }
    }

    private static byte[] run(Arguments arguments) throws Exception {
        switch (arguments.command()) {
            case "version":
                String version = Security.getProvider("BC").getVersionStr() + " on Java " + System.getProperty("java.version");
                return version.getBytes(StandardCharsets.UTF_8);
            case "sign":
                return Signed.make(arguments);
            case "verify":
                return Signed.read(arguments);
            case "certificates-only":
                return Signed.certificatesOnly(arguments);
            case "read-certificates":
                return Signed.certificates(arguments);
            case "encrypt":
                return Enveloped.make(arguments);
            case "decrypt":
                return Enveloped.read(arguments);
            case "compress":
                return Compressed.make(arguments);
            case "uncompress":
                return Compressed.read(arguments);
            case "mail":
                return Mail.make(arguments);
            case "read-mail":
                return Mail.read(arguments);
            case "write-keystore":
                return Keystores.make(arguments);
            case "write-pbes2":
                return Keystores.makePbes2(arguments);
            case "read-keystore":
                return Keystores.read(arguments);
            default:
                throw new IllegalArgumentException("unknown command " + arguments.command());
        }
    }

    /** The message of an exception and of what caused it. */
    private static String words(Throwable problem) {
        StringBuilder text = new StringBuilder();
        for (Throwable each = problem; each != null && text.length() < 400; each = each.getCause()) {
            if (text.length() > 0) text.append(": ");
            text.append(each.getClass().getSimpleName()).append(' ').append(each.getMessage());
        }
        return text.toString();
    }

    private static String base64(byte[] octets) {
        return Base64.getEncoder().encodeToString(octets);
    }
}
