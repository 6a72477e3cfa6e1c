import org.bouncycastle.cms.CMSCompressedData;
import org.bouncycastle.cms.CMSCompressedDataGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.jcajce.ZlibCompressor;
import org.bouncycastle.cms.jcajce.ZlibExpanderProvider;

/** CompressedData. */
final class Compressed {
    static byte[] make(Arguments arguments) throws Exception {
        CMSProcessableByteArray content = new CMSProcessableByteArray(arguments.octets("content"));
        return new CMSCompressedDataGenerator().generate(content, new ZlibCompressor()).getEncoded();
    }

    static byte[] read(Arguments arguments) throws Exception {
        return new CMSCompressedData(arguments.octets("message")).getContent(new ZlibExpanderProvider());
    }
}
