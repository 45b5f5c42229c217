// Promises: a program with the AWS SDK for Java v2 in its default set-up. "new" makes a client, "call" calls
// GetCallerIdentity with it; each is answered by a line of JSON. It prints no credential.
import java.io.IOException;
import java.net.URI;
import software.amazon.awssdk.services.sts.StsClient;

public final class AWSConsumer {
    private AWSConsumer() {}

    private static StsClient newClient() {
        return StsClient.builder()
                .endpointOverride(URI.create(System.getenv("CONSUMER_ENDPOINT")))
                .overrideConfiguration(configuration -> configuration.retryStrategy(retries -> retries.maxAttempts(1)))
                .build();
    }

    public static void main(String[] arguments) throws IOException {
        Lines.answer(AWSConsumer::newClient, StsClient::getCallerIdentity);
    }
}
