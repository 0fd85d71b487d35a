"""Counts what a deployment costs while nobody uses it, from the template, and what an answer adds.

scripts/cost prints the table; scripts/lint checks the README's claim with `scripts/cost --check`.
"""

import argparse
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from template import ROOT, Template

HOURS = 730
PRICES = tomllib.loads((Path(__file__).parent / "prices.toml").read_text())
CLAIM = re.compile(r"idle, it costs at most \$(\d+\.\d\d) a month")
SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass
class Line:
    """One row of the table. The quantity has the unit of its price: pieces, gigabytes or millions."""

    what: str
    price: str
    quantity: float

    @property
    def full(self):
        return self.quantity * PRICES["prices"][self.price]

    @property
    def with_free(self):
        paid = max(0, self.quantity - PRICES["free"].get(self.price, 0))
        return paid * PRICES["prices"][self.price]


def idle(template):
    """Returns the costs of a month without a single request."""
    assumed = PRICES["idle"]
    polls = assumed["pollers_per_queue"] * HOURS * 3600 / assumed["poll_seconds"]
    queues = sum(
        1 for *_, mapping in template.resources("AWS::Lambda::EventSourceMapping") if of_queue(template, mapping)
    )
    runs = list(scheduled(template))
    invocations = sum(count for count, _ in runs)
    gb_seconds = sum(count * memory / 1024 * assumed["seconds_per_schedule"] for count, memory in runs)
    lines = [
        Line(
            "metrics of alarms",
            "alarm_metric",
            sum(metrics(alarm, template) for *_, alarm in template.resources("AWS::CloudWatch::Alarm")),
        ),
        Line("composite alarms", "composite_alarm", count(template, "AWS::CloudWatch::CompositeAlarm")),
        Line("metrics of our own", "custom_metric", assumed["custom_metrics"]),
        Line("dashboards", "dashboard", count(template, "AWS::CloudWatch::Dashboard")),
        Line("secrets", "secret", count(template, "AWS::SecretsManager::Secret")),
        Line("keys of KMS", "key", count(template, "AWS::KMS::Key")),
        Line(f"polling of {queues} empty queues, million requests", "queue_requests", queues * polls / 1e6),
        Line("schedules, million invocations", "lambda_requests", invocations / 1e6),
        Line("schedules, million GB-seconds", "lambda_gb_seconds", gb_seconds / 1e6),
        Line(
            "sweeps of the table, million read units", "table_reads", invocations * assumed["reads_per_schedule"] / 1e6
        ),
        Line("logs of schedules, GB", "log_gb", invocations * assumed["log_kb_per_schedule"] / 1e6),
        Line("traces of schedules, million", "traces", invocations / 1e6),
    ]
    return [line for line in lines if line.quantity]


def answer():
    """Returns the costs of a thousand answers without those of the model."""
    shape = PRICES["answer"]
    return [
        Line("Lambda", "lambda_gb_seconds", shape["seconds"] * shape["memory_gb"] / 1e3),
        Line("table writes", "table_writes", shape["writes"] / 1e3),
        Line("table reads", "table_reads", shape["reads"] / 1e3),
        Line("logs", "log_gb", shape["log_kb"] / 1e3),
        Line("requests", "edge_requests", 1 / 1e3),
    ]


def count(template, kind):
    return sum(1 for _ in template.resources(kind))


def metrics(alarm, template):
    """Returns the number of metrics that an alarm is charged for."""
    total = 0
    for metric in alarm.get("Metrics", [{"MetricStat": {}}]):
        if "SELECT" in str(metric.get("Expression", "")):
            # A Metrics Insights query reads the metric of every function.
            total += count(template, "AWS::Lambda::Function")
        elif "MetricStat" in metric:
            total += 1
    return total


def of_queue(template, mapping):
    (name, *_) = mapping["EventSourceArn"].get("Fn::GetAtt", [""])
    return template.document["Resources"].get(name, {}).get("Type") == "AWS::SQS::Queue"


def scheduled(template):
    """Yields the invocations a month of each schedule, and the memory of its function."""
    memory = {
        name: int(function.get("MemorySize", 128)) for name, _, function in template.resources("AWS::Lambda::Function")
    }
    for _, _, rule in template.resources("AWS::Events::Rule"):
        number, unit = re.fullmatch(r"rate\((\d+) (\w+?)s?\)", rule["ScheduleExpression"]).groups()
        for target in rule["Targets"]:
            yield HOURS * 3600 / (int(number) * SECONDS[unit]), memory[target["Arn"]["Fn::GetAtt"][0]]


def total(lines, free=True):
    return round(sum(line.with_free if free else line.full for line in lines), 2)


def table(lines):
    rows = [f"{line.what:<48} {line.quantity:>8.2f} {line.with_free:>8.2f} {line.full:>8.2f}" for line in lines]
    head = f"{'':<48} {'quantity':>8} {'alone':>8} {'beside':>8}"
    sums = f"{'dollars a month':<48} {'':>8} {total(lines):>8.2f} {total(lines, free=False):>8.2f}"
    return "\n".join([head, *rows, sums])


def summary(template):
    """Returns two sentences for the end of a deployment."""
    lines = idle(template)
    thousand = sum(line.full for line in answer())
    return (
        f"Idle, it costs ${total(lines):.2f} a month in an account that runs nothing else, "
        f"and ${total(lines, free=False):.2f}\nwhere the free allowances are used up. A thousand answers of 500 tokens add ${thousand:.2f}, and the model."
    )


def check(lines):
    """Returns what is wrong with the README's claim, or `None`."""
    claim = CLAIM.search((ROOT / "README.md").read_text())
    if not claim:
        return f"README.md does not say `{CLAIM.pattern}`"
    claimed = float(claim[1])
    if total(lines) > claimed:
        return f"README.md claims at most ${claimed:.2f} a month, but the template costs ${total(lines):.2f}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parameters", nargs="*", metavar="Name=Value", help="parameters of the template")
    parser.add_argument("--check", action="store_true", help="compare with the README")
    options = parser.parse_args()
    parameters = dict(text.split("=", 1) for text in options.parameters)
    template = Template.read(**parameters).translated()
    lines = idle(template)
    if options.check:
        wrong = check(lines)
        if wrong:
            print(table(lines), file=sys.stderr)
            sys.exit(wrong)
        return
    print(f"us-east-1, prices of {PRICES['read']}. Alone: in an account whose free allowances nothing else uses.\n")
    print(table(lines))
    print(f"\n{summary(template)}")


if __name__ == "__main__":
    main()
