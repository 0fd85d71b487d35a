"""Tests of the checks before a deployment: each finds the mistake that it is for.

.local/sam/bin/python infra/deploy/tests.py
"""

import copy
import unittest
from unittest import mock

import cost
import limits
import prerequisites
import restore
import secret
from template import ROOT, Template

READ = Template.read()


def changed(change, **parameters):
    """Returns the translated template after a change of its document."""
    document = copy.deepcopy(READ.document)
    change(document)
    return Template(document, **parameters).translated()


def found(change, quota=10, **parameters):
    return list(limits.problems(changed(change, **parameters), quota))


class Limits(unittest.TestCase):
    def test_the_template_fits_into_a_new_account(self):
        self.assertEqual(found(lambda document: None), [])

    def test_a_reservation_does_not_fit_into_a_new_account(self):
        def reserve(document):
            document["Resources"]["MetaFunction"]["Properties"]["ReservedConcurrentExecutions"] = 2

        self.assertIn("2 instances are reserved", found(reserve)[0])
        self.assertEqual(found(reserve, quota=1000), [])

    def test_an_environment_of_more_than_4_kb_is_refused(self):
        def fill(document):
            document["Globals"]["Function"]["Environment"]["Variables"]["PLANS"] = "x" * 4000

        self.assertIn("bytes of the environment of AuthFunction", found(fill)[0])

    def test_a_name_that_two_regions_would_share_is_refused(self):
        def share(document):
            document["Resources"]["EdgeFunction"]["Properties"]["Name"] = {"Fn::Sub": "${AWS::StackName}-edge"}

        self.assertIn("EdgeFunction has no Region", found(share)[0])

    def test_too_many_resources_are_refused(self):
        def multiply(document):
            for number in range(500):
                document["Resources"][f"Topic{number}"] = {"Type": "AWS::SNS::Topic"}

        self.assertIn("but AWS allows 500", found(multiply)[0])

    def test_a_large_policy_is_refused(self):
        def grant(document):
            statements = document["Resources"]["AuthFunction"]["Properties"]["Policies"][1]["Statement"]
            statements += [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}] * 200

        self.assertIn("characters of the inline policies of AuthFunctionRole", found(grant)[0])


class Cost(unittest.TestCase):
    def quantity(self, price, **parameters):
        lines = cost.idle(Template.read(**parameters).translated())
        return sum(line.quantity for line in lines if line.price == price)

    def test_alarms_are_charged_for_each_metric_they_read(self):
        stat = {"MetricStat": {"Stat": "Sum"}}
        self.assertEqual(cost.metrics({"MetricName": "Errors"}, READ), 1)
        self.assertEqual(cost.metrics({"Metrics": [{"Expression": "a + b"}, stat, stat]}, READ), 2)
        functions = len(list(READ.translated().resources("AWS::Lambda::Function")))
        query = {"Metrics": [{"Expression": "SELECT SUM(Errors) FROM SCHEMA(x)"}]}
        self.assertEqual(cost.metrics(query, READ.translated()), functions)

    def test_the_alarms_read_at_most_one_metric_beyond_the_free_allowance(self):
        self.assertLessEqual(self.quantity("alarm_metric"), cost.PRICES["free"]["alarm_metric"] + 1)

    def test_an_audit_that_does_not_run_is_an_alarm(self):
        alarm = READ.document["Resources"]["AuditFindingsAlarm"]["Properties"]
        self.assertEqual((alarm["TreatMissingData"], alarm["Period"]), ("breaching", 2 * 3600))

    def test_the_local_stack_has_no_alarms(self):
        self.assertEqual(self.quantity("alarm_metric", Local="true"), 0)


class Parameters(unittest.TestCase):
    def test_a_setting_that_the_functions_would_refuse_is_refused_by_cloudformation(self):
        pattern = READ.document["Parameters"]["WebFetch"]["AllowedPattern"]
        for value in ("on", "off", "example.com", "*.example.org", "a.com,*.xn--bcher-kva.example,192.0.2.1"):
            self.assertRegex(value, pattern)
        for value in ("", "On", "example", "*", "*.com.*", "a.com,,b.com", "a.com, b.com", "https://a.com", "a.com/x"):
            self.assertNotRegex(value, pattern)

    def test_the_functions_that_execute_runs_have_the_setting_of_web_pages(self):
        functions = READ.document["Resources"].items()
        having = {name for name, function in functions if "WEB_FETCH" in str(function.get("Properties"))}
        self.assertEqual(having, {"ChatFunction", "AgentWorkerFunction"})


    def test_only_the_functions_that_call_models_may_call_those_of_bedrock(self):
        with_models = Template.read(BedrockModels="eu.anthropic.claude-sonnet-4-5*,amazon.nova-pro-v1:0").translated()
        roles = {
            name
            for name, _, role in with_models.resources("AWS::IAM::Role")
            if {"Ref": "BedrockPolicy"} in role.get("ManagedPolicyArns", [])
        }
        self.assertEqual(roles, {"ChatFunctionRole", "AgentWorkerFunctionRole", "JobWorkerFunctionRole"})
        self.assertNotIn("BedrockPolicy", [name for name, *_ in READ.translated().resources()])

    def test_the_names_of_models_that_would_break_the_policy_are_refused(self):
        pattern = READ.document["Parameters"]["BedrockModels"]["AllowedPattern"]
        for value in ("", "amazon.nova-pro-v1:0", "eu.anthropic.claude-sonnet-4-5*,amazon.nova-*"):
            self.assertRegex(value, pattern)
        for value in ("*", "a,*", "a, b", "a,,b", "bedrock/a", "a*b", "a,"):
            self.assertNotRegex(value, pattern)


class Security(unittest.TestCase):
    """Protections that no linter knows and that no emulator has."""

    def behaviors(self):
        distribution = READ.document["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
        return [*distribution["CacheBehaviors"], distribution["DefaultCacheBehavior"]]

    def test_pages_may_load_their_own_files_and_artifacts_and_show_previews(self):
        headers = READ.document["Resources"]["SecurityHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]
        policy = headers["SecurityHeadersConfig"]["ContentSecurityPolicy"]
        # A function's own policy is stricter.
        self.assertIs(policy["Override"], False)
        directives = dict(
            directive.strip().split(" ", 1) for directive in policy["ContentSecurityPolicy"]["Fn::Sub"].split(";")
        )
        bucket = "https://${ArtifactsBucket.RegionalDomainName}"
        expected = {
            "default-src": "'self'",
            "connect-src": f"'self' {bucket}",
            "img-src": f"'self' data: blob: {bucket}",
            "media-src": f"'self' blob: {bucket}",
            "frame-src": "${PreviewFunctionUrl.FunctionUrl}",
            "object-src": "'none'",
            "base-uri": "'none'",
            "form-action": "'self'",
            "frame-ancestors": "'none'",
        }
        self.assertEqual(directives, expected)

    def test_the_pages_of_the_console_have_no_script_or_style_inside(self):
        pages = list((ROOT / "infra/console").glob("**/*.html"))
        self.assertTrue(pages)
        for page in pages:
            text = page.read_text()
            self.assertNotRegex(text, r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=|javascript:", page.name)

    def test_every_path_of_the_distribution_has_the_security_headers(self):
        policies = {str(behavior["ResponseHeadersPolicyId"]) for behavior in self.behaviors()}
        self.assertEqual(policies, {str({"Ref": "SecurityHeaders"})})

    def test_streams_are_neither_compressed_nor_cached_and_other_answers_are_compressed(self):
        cache = READ.document["Resources"]["ApiCache"]["Properties"]["CachePolicyConfig"]
        # CloudFront compresses only what it could cache.
        self.assertEqual((cache["MinTTL"], cache["DefaultTTL"], cache["MaxTTL"]), (0, 0, 1))
        encodings = cache["ParametersInCacheKeyAndForwardedToOrigin"]
        self.assertTrue(encodings["EnableAcceptEncodingGzip"] and encodings["EnableAcceptEncodingBrotli"])
        disabled = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
        expected = {"chat": (False, disabled), "http": (True, str({"Ref": "ApiCache"}))}
        for behavior in self.behaviors():
            found = (behavior["Compress"], str(behavior["CachePolicyId"]))
            origin = behavior["TargetOriginId"]
            self.assertEqual(found, expected.get(origin, found), behavior.get("PathPattern"))

    def test_a_schedule_that_fails_is_not_repeated_beside_the_next_one(self):
        functions = READ.document["Resources"].items()
        scheduled = {
            name: function["Properties"]
            for name, function in functions
            if "Schedule" in {event["Type"] for event in function.get("Properties", {}).get("Events", {}).values()}
        }
        self.assertEqual(set(scheduled), {"SchedulerFunction", "AuditFunction"})
        for name, properties in scheduled.items():
            self.assertEqual(properties["EventInvokeConfig"], {"MaximumRetryAttempts": 0}, name)
            for event in properties["Events"].values():
                self.assertEqual(event["Properties"]["RetryPolicy"]["MaximumRetryAttempts"], 0, name)

    def test_every_role_of_a_function_is_within_the_boundary(self):
        translated = READ.translated()
        roles = {name: role for name, _, role in translated.resources("AWS::IAM::Role") if name.endswith("FunctionRole")}
        functions = [name for name, *_ in translated.resources("AWS::Lambda::Function")]
        self.assertEqual(len(roles), len(functions))
        for name, role in roles.items():
            self.assertEqual(role.get("PermissionsBoundary"), {"Ref": "FunctionBoundary"}, name)
        boundary = READ.document["Resources"]["FunctionBoundary"]["Properties"]["PolicyDocument"]
        data, logs = boundary["Statement"]
        self.assertTrue({"iam:*", "lambda:*", "logs:*", "sts:*"} <= set(data["NotAction"]))
        self.assertEqual(logs["Action"], ["logs:CreateLogStream", "logs:PutLogEvents"])
        self.assertTrue(logs["Resource"]["Fn::Sub"].endswith(":log-group:/aws/lambda/${AWS::StackName}-*"))


class Distribution:
    """A stack whose CloudFront may be out of reach, and the values of its secret, oldest first."""

    resources = {"Distribution": "D", "OriginSecret": "O"}

    def __init__(self):
        self.stored = ["old"]
        self.sent = "old"
        self.is_reachable = True

    def client(self, _):
        return self

    def get_secret_value(self, SecretId):
        return {"SecretString": self.stored[-1]}

    def put_secret_value(self, SecretId, SecretString):
        self.stored.append(SecretString)

    def get_distribution_config(self, Id):
        headers = {"Items": [{"HeaderName": "x-origin-verify", "HeaderValue": self.sent}]}
        origins = [{"CustomHeaders": headers}, {"CustomHeaders": {"Quantity": 0}}]
        return {"ETag": "1", "DistributionConfig": {"Origins": {"Items": origins}}}

    def update_distribution(self, Id, IfMatch, DistributionConfig):
        if not self.is_reachable:
            raise InterruptedError
        (header,) = secret.origin_headers(DistributionConfig)
        self.sent = header["HeaderValue"]

    def get_waiter(self, _):
        return mock.Mock()


class Secrets(unittest.TestCase):
    @mock.patch.object(secret, "print", create=True)
    @mock.patch.object(secret, "time")
    def test_a_rotation_of_the_origin_that_was_interrupted_is_continued(self, _, __):
        stack = Distribution()
        stack.is_reachable = False
        for _ in range(2):
            with self.assertRaises(InterruptedError):
                secret.rotate_origin(stack)
            self.assertIn(stack.sent, stack.stored[-2:], "functions accept the current value and the one before")
        stack.is_reachable = True
        for expected in (2, 3):
            secret.rotate_origin(stack)
            self.assertEqual((len(stack.stored), stack.sent), (expected, stack.stored[-1]))

    def test_a_sealing_key_is_not_added_to_none(self):
        stack = mock.Mock()
        stack.dynamodb.get_item.return_value = {}
        with self.assertRaisesRegex(SystemExit, "there is no sealing key yet"):
            secret.rotate_sealing(stack)


class Restore(unittest.TestCase):
    def test_sealing_keys_are_put_together_and_the_present_newest_one_stays_the_last(self):
        self.assertEqual(restore.together(["a", "b"], ["c"]), ["a", "b", "c"])
        self.assertEqual(restore.together(["a", "b"], ["b", "c"]), ["a", "b", "c"])
        self.assertIsNone(restore.together(["a"], ["a", "b"]))


class Prerequisites(unittest.TestCase):
    def test_an_old_tool_is_named_with_the_command_that_replaces_it(self):
        with mock.patch.object(prerequisites, "output", return_value="SAM CLI, version 1.84.0"):
            with self.assertRaisesRegex(
                prerequisites.Missing, r"1\.84\.0, and 1\.170 or later is needed\n.*scripts/install deploy"
            ):
                prerequisites.sam(None)

    def test_a_missing_tool_is_named(self):
        with self.assertRaisesRegex(prerequisites.Missing, "Zig 0.13 or later is not installed"):
            prerequisites.at_least("Zig", ["no-such-program"], (0, 13), "install it")

    def test_a_small_quota_is_told_and_refused_only_for_reservations(self):
        client = mock.Mock()
        client.get_account_settings.return_value = {"AccountLimit": {"ConcurrentExecutions": 10}}
        for parameters in ({}, {"ReserveConcurrency": "true"}):
            deployment = prerequisites.Deployment("sequent", "us-east-1", parameters, building=False)
            with mock.patch.object(prerequisites.Deployment, "client", return_value=client):
                if parameters:
                    with self.assertRaisesRegex(prerequisites.Missing, "needs a concurrency of 1,000"):
                        prerequisites.concurrency(deployment)
                else:
                    self.assertIn("L-B99A9384", prerequisites.concurrency(deployment))


if __name__ == "__main__":
    unittest.main()
