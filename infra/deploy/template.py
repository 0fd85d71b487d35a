"""Reads template.yaml as CloudFormation would: its conditions for given parameters, and its translation by SAM."""

import copy
import logging
import re
from pathlib import Path

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.utils.py27hash_fix import to_py27_compatible_template, undo_mark_unicode_str_in_template
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent.parent
NO_VALUE = object()
# SAM warns of metrics that it would publish if it ran at AWS.
logging.getLogger("samtranslator.metrics.metrics").setLevel(logging.ERROR)
# Pseudo parameters. The account and the stack name are as long as they get in practice.
PSEUDO = {
    "AWS::AccountId": "000000000000",
    "AWS::Partition": "aws",
    "AWS::Region": "ap-southeast-1",
    "AWS::StackName": "sequent-staging",
    "AWS::URLSuffix": "amazonaws.com",
}
# Stands for a name that only CloudFormation knows. It is as long as the ARN of a secret.
UNKNOWN = "?" * 120


class Template:
    """A template with the values of its parameters."""

    def __init__(self, document, **parameters):
        self.document = document
        declared = document.get("Parameters", {})
        unknown = set(parameters) - set(declared)
        if unknown:
            raise ValueError(f"template.yaml has no parameter {', '.join(sorted(unknown))}")
        defaults = {name: str(p["Default"]) for name, p in declared.items() if "Default" in p}
        self.values = PSEUDO | defaults | {name: str(value) for name, value in parameters.items()}

    @classmethod
    def read(cls, path=ROOT / "template.yaml", **parameters):
        return cls(yaml_parse(Path(path).read_text()), **parameters)

    def translated(self):
        """Returns the template as SAM expands it."""
        document = copy.deepcopy(self.document)
        for resource in document["Resources"].values():
            if resource["Type"] == "AWS::Serverless::Function":
                # sam deploy uploads the code, and puts its address here.
                resource["Properties"]["CodeUri"] = "s3://bucket/code"
        values = dict(self.values)
        to_py27_compatible_template(document, values)
        # The region of the session only resolves pseudo parameters; nothing is sent.
        translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=PSEUDO["AWS::Region"]))
        translated = translator.translate(document, values, get_managed_policy_map=dict)
        return Template.of(undo_mark_unicode_str_in_template(translated), self.values)

    @classmethod
    def of(cls, document, values):
        template = cls(document)
        template.values = values
        return template

    def resources(self, *types):
        """Yields the name, type and resolved properties of the resources that exist, of these types or of all."""
        for name, resource in self.document["Resources"].items():
            wanted = not types or resource["Type"] in types
            if wanted and self.holds(resource.get("Condition")):
                yield name, resource["Type"], self.resolve(resource.get("Properties", {}))

    def holds(self, condition):
        if condition is None:
            return True
        if isinstance(condition, str):
            return self.holds(self.document["Conditions"][condition])
        ((operator, argument),) = condition.items()
        match operator:
            case "Condition":
                return self.holds(argument)
            case "Fn::Equals":
                left, right = argument
                return str(self.resolve(left)) == str(self.resolve(right))
            case "Fn::Not":
                return not self.holds(argument[0])
            case "Fn::And":
                return all(map(self.holds, argument))
            case "Fn::Or":
                return any(map(self.holds, argument))
        raise ValueError(f"unknown condition {operator}")

    def resolve(self, value):
        """Replaces parameters and conditions. References to resources remain."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((key, argument),) = value.items()
            if key == "Ref" and argument == "AWS::NoValue":
                return NO_VALUE
            if key == "Ref" and argument in self.values:
                return self.values[argument]
            if key == "Fn::If":
                condition, yes, no = argument
                return self.resolve(yes if self.holds(condition) else no)
            if key == "Fn::Sub" and isinstance(argument, str):
                return re.sub(r"\$\{([\w:]+)\}", lambda m: self.values.get(m[1], m[0]), argument)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}


def flat(value):
    """Returns a resolved value as text. Every reference that remains counts with the length of a long ARN."""
    if isinstance(value, dict):
        return UNKNOWN
    return re.sub(r"\$\{[^}]*\}", UNKNOWN, str(value))
