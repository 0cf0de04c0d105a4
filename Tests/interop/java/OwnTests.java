// Runs the Java client's own tests, classes that are named on the command line, each test for at most a minute, and
// prints a report as pytest's. Left out by name: tests that start the broker anew or command it with RabbitMQ's tools.

import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.internal.runners.statements.FailOnTimeout;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.Request;
import org.junit.runner.manipulation.Filter;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;
import org.junit.runners.BlockJUnit4ClassRunner;
import org.junit.runners.model.FrameworkMethod;
import org.junit.runners.model.InitializationError;
import org.junit.runners.model.Statement;

public class OwnTests {
    static final Set<String> LEFT_OUT = Set.of("restartingExpiry", "impersonatedUserId", "blockedListener", "shutdownListener");

    static class Bounded extends BlockJUnit4ClassRunner {
        Bounded(Class<?> type) throws InitializationError {
            super(type);
        }

        @Override
        @SuppressWarnings("deprecation")
        protected Statement withPotentialTimeout(FrameworkMethod method, Object target, Statement next) {
            return FailOnTimeout.builder().withTimeout(60, TimeUnit.SECONDS).build(next);
        }
    }

    static class Report extends RunListener {
        private String outcome;

        @Override
        public void testStarted(Description test) {
            outcome = "";
        }

        @Override
        public void testFailure(Failure failure) {
            outcome = "<failure/>";
            System.err.println(failure.getDescription() + "\n" + failure.getTrace());
        }

        @Override
        public void testAssumptionFailure(Failure failure) {
            outcome = "<skipped/>";
        }

        @Override
        public void testFinished(Description test) {
            String type = test.getTestClass().getSimpleName();
            System.out.printf("<testcase classname=\"%s\" name=\"%s\">%s</testcase>%n", type, test.getMethodName(), outcome);
        }
    }

    static final Filter FILTER = new Filter() {
        @Override
        public boolean shouldRun(Description test) {
            return test.isSuite() || !LEFT_OUT.contains(test.getMethodName());
        }

        @Override
        public String describe() {
            return "all but those left out";
        }
    };

    public static void main(String[] names) throws Exception {
        JUnitCore core = new JUnitCore();
        core.addListener(new Report());
        System.out.println("<testsuite>");
        for (String name : names) core.run(Request.runner(new Bounded(Class.forName(name))).filterWith(FILTER));
        System.out.println("</testsuite>");
        System.exit(0);
    }
}
