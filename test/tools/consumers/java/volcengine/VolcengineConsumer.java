// Promises: a program with the Volcengine SDK for Java and its default credential chain. "new" makes a client, "call" calls
// GetCallerIdentity with it; each is answered by a line of JSON. It prints no credential.
import com.volcengine.ApiClient;
import com.volcengine.UniversalApi;
import com.volcengine.UniversalRequest;
import com.volcengine.auth.CredentialProvider;
import com.volcengine.auth.DefaultCredentialProvider;
import java.io.IOException;
import java.util.HashMap;

public final class VolcengineConsumer {
    private VolcengineConsumer() {}

    private static UniversalApi newClient() {
        ApiClient client = new ApiClient()
                .setRegion("cn-beijing")
                .setEndpoint(System.getenv("CONSUMER_ENDPOINT").replace("http://", ""))
                .setDisableSSL(true)
                .setAutoRetry(false)
                .setCredentialProvider(new CredentialProvider(DefaultCredentialProvider.create()));
        return new UniversalApi(client);
    }

    public static void main(String[] arguments) throws IOException {
        // The generic call of the core: the package with this service is not built for each version of the core.
        Lines.answer(
                VolcengineConsumer::newClient,
                client -> client.doCall(
                        new UniversalRequest("sts", "GetCallerIdentity", "2018-01-01"), new HashMap<>()));
    }
}
