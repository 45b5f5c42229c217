// Promises: answers each line of the standard input with a line of JSON: "new" makes a client, anything else is a call with
// it. What else is printed goes to the standard error: libraries have loggers of their own.
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;

final class Lines {
    private Lines() {}

    interface Maker<C> {
        C make() throws Exception;
    }

    interface Caller<C> {
        void call(C client) throws Exception;
    }

    /** Some exceptions leave their message out of their description. */
    private static String described(Throwable error) {
        String text = String.valueOf(error);
        String message = String.valueOf(error.getMessage());
        return text.contains(message) ? text : text + ": " + message;
    }

    private static String quoted(String text) {
        return text.replaceAll("[^ -~]", " ").replace("\\", "\\\\").replace("\"", "\\\"");
    }

    static <C> void answer(Maker<C> maker, Caller<C> caller) throws IOException {
        PrintStream answers = System.out;
        System.setOut(System.err);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        C client = null;
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            try {
                if (line.equals("new")) {
                    client = maker.make();
                } else {
                    caller.call(client);
                }
                answers.println("{\"ok\":true}");
            } catch (Exception | LinkageError error) {
                answers.println("{\"ok\":false,\"error\":\"" + quoted(described(error)) + "\"}");
            }
        }
    }
}
