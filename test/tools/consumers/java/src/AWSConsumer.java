// Promises: a program with the AWS SDK for Java v2 in its default set-up. "new" makes a client, "call" calls
// GetCallerIdentity with it; each is answered by a line of JSON. It prints no credential.
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
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

    private static String quoted(String text) {
        return text.replaceAll("[^ -~]", " ").replace("\\", "\\\\").replace("\"", "\\\"");
    }

    public static void main(String[] arguments) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        StsClient client = null;
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            try {
                if (line.equals("new")) {
                    client = newClient();
                } else {
                    client.getCallerIdentity();
                }
                System.out.println("{\"ok\":true}");
            } catch (RuntimeException error) {
                System.out.println("{\"ok\":false,\"error\":\"" + quoted(String.valueOf(error)) + "\"}");
            }
        }
    }
}
