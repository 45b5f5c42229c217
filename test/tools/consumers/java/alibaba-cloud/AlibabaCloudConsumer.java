// Promises: a program with Alibaba Cloud's credentials for Java in their default set-up, and the vendor's generic client.
// "new" makes a client, "call" calls GetCallerIdentity with it; each is answered by a line of JSON. It prints no credential.
import com.aliyun.teaopenapi.Client;
import com.aliyun.teaopenapi.models.Config;
import com.aliyun.teaopenapi.models.OpenApiRequest;
import com.aliyun.teaopenapi.models.Params;
import com.aliyun.teautil.models.RuntimeOptions;
import java.io.IOException;

public final class AlibabaCloudConsumer {
    private AlibabaCloudConsumer() {}

    private static Client newClient() throws Exception {
        return new Client(new Config()
                .setCredential(new com.aliyun.credentials.Client())
                .setEndpoint(System.getenv("CONSUMER_ENDPOINT").replace("http://", ""))
                .setProtocol("HTTP"));
    }

    private static void call(Client client) throws Exception {
        Params params = new Params()
                .setAction("GetCallerIdentity")
                .setVersion("2015-04-01")
                .setProtocol("HTTP")
                .setPathname("/")
                .setMethod("POST")
                .setAuthType("AK")
                .setStyle("RPC")
                .setReqBodyType("formData")
                .setBodyType("json");
        client.callApi(params, new OpenApiRequest(), new RuntimeOptions().setAutoretry(false));
    }

    public static void main(String[] arguments) throws IOException {
        Lines.answer(AlibabaCloudConsumer::newClient, AlibabaCloudConsumer::call);
    }
}
