#!/usr/bin/env python3
"""Makes every table of docs/proof, README.md and templates/**/README.* from the raw files in docs/proof/runs:
measure/figures.py writes them, measure/figures.py --check says which of them differ.

A table stands between two marks, `<!-- figures: WHAT -->` and `<!-- end of figures -->` (in a template `{# ... #}`). WHAT:

    outages VARIANT [full]      how long writes and reads were away, by event (full: until full strength, too)
    outages VARIANT events=A,B  only these, of the primary or of all; the sentence below still counts every run
    outages VARIANT VARIANT...  the medians of several, compared
    rows VARIANT...             every other figure of these
    sizing                      pgbench without and with the sizing of parameters
    timeline EVENT              the steps of a failover, of the newest run of `just timeline`, and a picture of them
    runs                        the raw files
    promises                    docs/proof/promises.json: each promise, what proves it, and how that came out

and lang=fr in any of them."""

import collections
import json
import math
import pathlib
import re
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

BLOCK = re.compile(
    r"(?P<begin>(?:<!--|\{#-?) figures: (?P<what>[^\n]*?) (?:-->|#\}))\n.*?(?P<end>(?:<!--|\{#-?) end of figures (?:-->|#\}))", re.S
)

# The events of drills and what is done by hand, in this order, as a reader calls them.
EVENTS = {
    "switchover": ("planned switchover", "bascule planifiée"),
    "drain": ("node drained", "nœud vidé"),
    "pod-delete": ("pod deleted (drain, rollout)", "pod supprimé (nœud vidé, mise à jour)"),
    "pod-force": ("pod deleted by force", "pod supprimé de force"),
    "postgres-kill": ("PostgreSQL killed", "PostgreSQL tué"),
    "container-kill": ("whole container killed", "conteneur tué en entier"),
    "volume-delete": ("volume and pod deleted", "volume et pod supprimés"),
    "pod-and-volume": ("volume and pod deleted by force", "volume et pod supprimés de force"),
    "primary-pod-delete": ("the primary's pod deleted", "pod du primaire supprimé"),
    "primary-postgres-kill": ("the primary's PostgreSQL killed", "PostgreSQL du primaire tué"),
    "primary-volume-lost": ("the primary's volume lost, and restored from a replica", "volume du primaire perdu, et restauré depuis un réplica"),
    "replica-pod-delete": ("a replica's pod deleted", "pod d'un réplica supprimé"),
    "replica-pod-force": ("a replica's pod deleted by force", "pod d'un réplica supprimé de force"),
    "replica-node-off": ("a replica's node powered off", "nœud d'un réplica éteint"),
    "replica-node-delete": ("a replica's machine deleted", "VM d'un réplica supprimée"),
    "parameters": ("a parameter changed", "un paramètre changé"),
    "damage": ("data directory damaged", "dossier des données abîmé"),
    "damage-one-database": ("one database's folder lost", "dossier d'une base perdu"),
    "node-off": ("node powered off", "nœud éteint"),
    "node-cut": ("node cut from the network", "nœud coupé du réseau"),
    "node-cut-peers": ("node cut from the other nodes only", "nœud coupé des autres nœuds seulement"),
    "node-cut-api": ("node cut from the API server only", "nœud coupé de l'API seulement"),
    "node-delete": ("machine deleted, with its disk and Node object", "VM supprimée, avec son disque et son objet Node"),
    "all-off": ("every node powered off, and on again", "tous les nœuds éteints, puis rallumés"),
    "everything-lost": ("every pod and volume deleted, all WAL archived", "tous les pods et volumes supprimés, tout le WAL archivé"),
    "back-in-time": ("back to a point in time", "retour à un instant"),
    "total-loss": ("every pod and volume deleted", "tous les pods et volumes supprimés"),
    "api-away": ("Kubernetes API hangs", "API de Kubernetes muette"),
    "store-kill": ("store killed", "magasin tué"),
    "store-volume": ("store killed, with its volume", "magasin tué, avec son volume"),
    "sync-standby-node": ("the synchronous standby's node powered off", "nœud du réplica synchrone éteint"),
    "rollout": ("every member replaced, for a changed pod template", "chaque membre remplacé, pour un pod qui change"),
    "repository-lost": ("every pod and volume deleted, one of two repositories with them", "tous les pods et volumes supprimés, l'un des deux dépôts avec eux"),
    "encrypted": ("every pod and volume deleted, the repository encrypted", "tous les pods et volumes supprimés, dépôt chiffré"),
    "target-name": ("back to a named point", "retour à un point nommé"),
    "target-lsn": ("back to an LSN", "retour à un LSN"),
    "target-set": ("back to the end of a backup", "retour à la fin d'une sauvegarde"),
    "damage-pg-control": ("`pg_control` damaged", "`pg_control` abîmé"),
    "damage-checksum": ("a page with a wrong checksum", "une page dont la somme est fausse"),
    "damage-no-start": ("the WAL deleted: PostgreSQL does not start", "WAL supprimé : PostgreSQL ne démarre pas"),
    "store-away-available": ("store away, `durability: available`", "magasin absent, `durability: available`"),
    "store-away": ("repository away for 3 minutes, and a failover in between", "dépôt absent 3 minutes, bascule au milieu"),
}
TARGETS = {
    "primary": ("", ""),
    "all": ("", ""),
    "replica": (", of a replica", ", d'un réplica"),
}
VARIANTS = {
    "q1": "Q1",
    "q2": "Q2",
    "q2-endpoints": "Q2, `q2.dcs: endpoints`",
    "q2-restore": "Q2, `restore`",
    "q2-restore-1GB": "Q2, `restore`, 1 GB",
    "q3": "Q3",
    "q3-timeout-10s": "Q3, `archive-timeout: 10s`",
}

# What other figures are called, by their key.
ROWS = {
    "q3 lost-posix": ("all pods and volumes lost under load (`posix`)", "tous les pods et volumes perdus, sous charge (`posix`)"),
    "q3 lost-s3": ("all pods and volumes lost under load (S3)", "tous les pods et volumes perdus, sous charge (S3)"),
    "q3 lost-endpoints": ("all pods and volumes lost under load (`q2.dcs: endpoints`)", "tous les pods et volumes perdus, sous charge (`q2.dcs: endpoints`)"),
    "q3 lost-posix switched": ("all pods and volumes lost, all WAL archived (`posix`)", "tous les pods et volumes perdus, tout le WAL archivé (`posix`)"),
    "q3 lost-s3 switched": ("all pods and volumes lost, all WAL archived (S3)", "tous les pods et volumes perdus, tout le WAL archivé (S3)"),
    "q3 lost-endpoints switched": (
        "all pods and volumes lost, all WAL archived (`q2.dcs: endpoints`)", "tous les pods et volumes perdus, tout le WAL archivé (`q2.dcs: endpoints`)"
    ),
    "q3 cluster-gone": ("the whole Kubernetes cluster lost under load; S3", "tout le cluster Kubernetes perdu, sous charge ; S3"),
    "q3 objects-gone": ("the namespace lost; S3", "le namespace perdu ; S3"),
    "q3 one-volume sync": ("all volumes lost but the synchronous standby's: it leads", "il ne reste que le volume du réplica synchrone : il mène"),
    "q3 one-volume other": ("all volumes lost but the other replica's: it leads", "il ne reste que le volume de l'autre réplica : il mène"),
    "q3 store-away": ("S3 away for 3 minutes, and a failover in between", "S3 absent 3 minutes, bascule au milieu"),
    "q3 store-away everything-lost": ("everything lost while S3 is away: it waits for S3", "tout perdu pendant que S3 est absent : il attend S3"),
    "q3 point-in-time": ("back to a point in time: exactly the rows of then", "retour à un instant : exactement les lignes d'alors"),
    "q3 point-in-time again": (
        "applied again after that, and everything lost again: not restored to it twice", "appliqué de nouveau ensuite, puis tout perdu : pas de second retour à cet instant"
    ),
    "q3 second-system": ("another system on the same stanza: refused, nothing harmed", "un autre système sur la même stanza : refusé, rien d'abîmé"),
    "q3 backup-and-failover": ("a failover while a backup runs: its next attempt is good", "bascule pendant une sauvegarde : l'essai suivant réussit"),
    "q3 flipped-byte": ("a bit of a backup flipped: the restore test names the file", "un bit d'une sauvegarde inversé : le test de restauration nomme le fichier"),
    "q3 schedule": ("backups by schedule, every two minutes; of the full ones, one is kept", "sauvegardes à leur heure, toutes les deux minutes ; une seule complète gardée"),
    "q1 password": ("another password: nothing restarts", "mot de passe changé : rien ne redémarre"),
    "q1 more-wal": ("a replica with more WAL than the restored primary: it keeps its copy", "réplica qui a plus de WAL que le primaire restauré : il garde sa copie"),
    "q1 start-empty": ("an empty database on purpose: replicas of the old one keep it", "base vide voulue : les réplicas de l'ancienne la gardent"),
    "q2 stress": ("starved CPUs, lost packets, an API that hangs: no failover", "CPU affamés, paquets perdus, API muette : pas de bascule"),
    "q2-restore password": ("another password: nothing restarts", "mot de passe changé : rien ne redémarre"),
    "q2-restore replicas": ("another number of replicas: nothing restarts", "autre nombre de réplicas : rien ne redémarre"),
    "q2-restore planned-end": ("a planned end without a successor: the old primary serves on for 30 s", "fin prévue sans successeur : l'ancien primaire sert encore 30 s"),
    "q2-restore store-full": ("a store that is nearly full: it says so, and goes on", "magasin presque plein : il le dit, et continue"),
    "q2-restore start-empty": (
        "primary and store lost, an empty database on purpose: replicas of the old one keep it", "primaire et magasin perdus, base vide voulue : les réplicas de l'ancienne la gardent"
    ),
    "q2 password": ("another password: nothing restarts", "mot de passe changé : rien ne redémarre"),
    "q2 lag": ("a replica that lags by more than 64 MB: `pg-ro` leaves it out", "réplica en retard de plus de 64 Mo : `pg-ro` l'évite"),
    "q2 prune": ("`kubectl apply --prune`: Secrets, volumes and Patroni's objects stay", "`kubectl apply --prune` : Secrets, volumes et objets de Patroni restent"),
    "q2 old-database": ("a member with the old database: it refuses to join the new one", "membre qui a l'ancienne base : il refuse de rejoindre la nouvelle"),
    "q2 api-and-member-away": ("the Kubernetes API and a member away: the primary stops", "API de Kubernetes et un membre absents : le primaire s'arrête"),
    "q2 primary-and-standby-off": (
        "the nodes of primary and synchronous standby off: nobody is promoted", "nœuds du primaire et du réplica synchrone éteints : personne n'est promu"
    ),
    "q2 failover-candidate": ("the same, and `patronictl failover --candidate`", "de même, puis `patronictl failover --candidate`"),
    "q1 readers pg-ro": ("a replica's node off: readers by `host=pg-ro`", "nœud d'un réplica éteint : lecteurs par `host=pg-ro`"),
    "q1 readers pg-ro-or-rw": ("the same: readers by `host=pg-ro,pg-rw`", "de même : lecteurs par `host=pg-ro,pg-rw`"),
    "pgbench single": ("a single PostgreSQL (Q1 without replicas)", "un seul PostgreSQL (Q1 sans réplica)"),
    "pgbench q2 asynchronous": ("Q2, `durability: asynchronous`", "Q2, `durability: asynchronous`"),
    "pgbench q2 synchronous": ("Q2, `durability: synchronous`", "Q2, `durability: synchronous`"),
    "pgbench q2 synchronous at-rest": (
        "the same, its CPU when nothing is asked of it, in % of a core", "de même, son CPU quand rien ne lui est demandé, en % d'un cœur"
    ),
    "backup pg_basebackup": ("`pg_basebackup` of a single PostgreSQL", "`pg_basebackup` d'un seul PostgreSQL"),
    "backup pg_basebackup copied-back": ("its copy back, without WAL", "sa copie en retour, sans WAL"),
    "backup pgbackrest": ("pgBackRest, a full backup of Q3", "pgBackRest, une sauvegarde complète de Q3"),
    "backup restore-test": ("Q3's restore test of it", "le test de restauration de Q3"),
}
FIELDS = {
    "works_after_ms": ("works after", "vaut après"),
    "unready_ms": ("out of the Service after", "hors du Service après"),
    "ready_again_ms": ("back in it after", "de retour après"),
    "stopped_ms": ("without a commit", "sans commit"),
    "watched_ms": ("watched for", "observé pendant"),
    "served_ms": ("served for", "a servi"),
    "primary_ms": ("a primary after", "un primaire après"),
    "full_strength_ms": ("every member after", "tous les membres après"),
    "write_ms": ("without a commit", "sans commit"),
    "read_ms": ("without a read through the read-only Service", "sans lecture par le Service de lecture"),
    "archiving_again_ms": ("archiving again after", "l'archive reprend après"),
    "lost": ("acknowledged commits lost", "commits confirmés perdus"),
    "loss_window_ms": ("acknowledged within", "confirmés en"),
    "lost_from_ms": ("the first of them before the event by", "le premier avant l'événement de"),
    "later": ("later rows there", "lignes postérieures présentes"),
    "tried": ("attempts", "essais"),
    "failed_attempts": ("failed attempts", "essais manqués"),
    "acknowledged": ("acknowledged", "confirmés"),
    "kept": ("kept", "gardés"),
    "asked": ("asked for", "demandés"),
    "minutes": ("minutes", "minutes"),
    "longest_gap_ms": ("the longest time without one", "le plus long temps sans commit"),
    "megabytes": ("MB", "Mo"),
    "gigabytes": ("GB", "Go"),
    "took_ms": ("took", "durée"),
    "cpu_percent": ("in all pods", "dans tous les pods"),
    "postgres_percent": ("in the containers `postgres`", "dans les conteneurs `postgres`"),
    "watcher_percent": ("in the containers `watcher`", "dans les conteneurs `watcher`"),
    "tps": ("transactions a second", "transactions par seconde"),
    "tps_before": ("transactions a second before it", "transactions par seconde avant"),
    "tps_meanwhile": ("meanwhile", "pendant"),
}
TIMELINE = " timeline"  # what such keys end with
TEXT = {
    "none": ("No run is recorded yet: `{}`.", "Aucune mesure n'est encore enregistrée : `{}`."),
    "event": ("event", "événement"),
    "writes": ("writes away, median, s", "sans écritures, médiane, s"),
    "reads": ("reads from replicas away, median, s", "sans lectures sur les réplicas, médiane, s"),
    "worst": ("worst", "au pire"),
    "full": ("full strength, median, s", "tous les membres, médiane, s"),
    "isolated": ("a replaced primary that is cut off still answers, worst, s", "un primaire remplacé et coupé répond encore, au pire, s"),
    "runs": ("runs", "mesures"),
    "no end": ("no end", "sans fin"),
    "failed": ("{} of them failed", "dont {} en échec"),
    "passed": ("passed", "réussi"),
    "what": ("what", "quoi"),
    "seen": ("seen", "vu"),
    "note": (
        "Commits acknowledged: {acknowledged}; lost: {lost}; acknowledged by two primaries at once: {double}.",
        "Commits confirmés : {acknowledged} ; perdus : {lost} ; confirmés par deux primaires à la fois : {double}.",
    ),
    "unread": (" Runs whose rows could not be read at the end: {}.", " Mesures dont les lignes n'ont pu être lues à la fin : {}."),
    "of": ("Runs: {}; {}.", "Mesures : {} ; {}."),
    "to": ("{} to {}", "du {} au {}"),
}


BAR = "\\|"


class Wrong(Exception):
    """What a person has to put right."""


# ------------------------------------------------------------------ the raw files


def load(folder):
    """The runs, oldest first: the first line of each, with its name as `file`, its `figures` and how it ended."""
    runs = []
    for path in folder.glob("*.jsonl"):
        try:
            first, *lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
            versions = {"kubernetes": first.get("kubernetes", "").removeprefix("v")}
            figures = []
            for line in lines:
                if line.get("key") == "versions":
                    versions.update({program: version for program, version in line.items() if program not in ("key", "at")})
                elif "key" in line:
                    figures.append({"passed": True, "reasons": [], **line, "date": first["date"][:10]})
            runs.append({**first, "file": path.name, "figures": figures, "versions": versions, "end": lines[-1]["end"]})
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise Wrong(f"{path.name} is no whole run: {error!r}") from None
    return sorted(runs, key=lambda run: (run["date"], run["file"]))


def by_key(runs):
    """The figures of each key, oldest first, each with the date of its run; but for those of timelines, which are tables of their own."""
    figures = collections.defaultdict(list)
    for run in runs:
        for figure in run["figures"]:
            if not figure["key"].endswith(TIMELINE):
                figures[figure["key"]].append(figure)
    return figures


def long_tests():
    """By key, the test of `just long` that measures it: a test's own functions come after it, before the next one.
    (Where a function of another file does, a comment in the test has the key.)"""
    text = (ROOT / "tests/cluster/long.rs").read_text(encoding="utf-8")
    tests = text.split('#[ignore = "needs a cluster: just long"]\n')[1:]
    return {key: re.search(r"fn (\w+)", test)[1] for test in tests for key in re.findall(r'"(q[123]\S* [^"{]+)"', test)}


def command_of(key):
    """The command that measures it."""
    variant, *rest = key.split(" ")
    if key in long_tests():
        return f"just long {long_tests()[key]}"
    if variant == "incident":
        return f"just incidents {rest[0]}"
    if variant in ("readme", "store", "pgk"):
        return f"just {variant} {rest[0]}"
    if variant == "large":
        return "just large"
    if variant == "catalogue":
        return "just servers"
    if variant.startswith("q2-restore"):
        return f"just restore {variant.removeprefix('q2-restore').strip('-GB') or 0}"
    if key.startswith("q1 readers"):
        return "just readers"
    if variant in ("pgbench", "backup", "sizing"):
        return f"just {variant}"
    if key == "q2 stress":
        return "just stress-q2"
    if variant.startswith(("q2", "q3")) and rest and rest[-1] in TARGETS:
        return f"just failures {variant[:2]}"
    return f"just measure-q3 {rest[0]}" if key.removesuffix(" restore-test") in ROWS else "just measure"


# ------------------------------------------------------------------ figures


def lengths(figures, name):
    """All figures of that name. What had no end is longer than all."""
    return [math.inf if figure[name] is None else figure[name] for figure in figures if name in figure]


def median(values):
    return statistics.median(sorted(values)) if values else None


def medians(figures, before):
    """docs/proof/medians.json: what the cluster tests' limits are made from. What no raw file has yet is as it was before, of
    no runs."""
    table = {key: {**row, "runs": 0} for key, row in before.items()}
    for key, of_key in figures.items():
        values = {name: median(lengths(of_key, name)) for name in ("write_ms", "read_ms")}
        row = {name: None if math.isinf(value) else round(value) for name, value in values.items() if value is not None}
        # Reads have two courses: where the only replica left is ahead of the one promoted, it is rewound first.
        worst = [value for value in lengths([figure for figure in of_key if figure["passed"]], "read_ms") if not math.isinf(value)]
        if row and worst:
            row["worst_read_ms"] = round(max(worst))
        if row:
            table[key] = {"runs": len(of_key), **row}
    return json.dumps(dict(sorted(table.items())), indent=1) + "\n"


# ------------------------------------------------------------------ tables


class Words:
    """Texts and numbers in one of the two languages."""

    def __init__(self, lang):
        self.french = lang == "fr"

    def __call__(self, name):
        return self.of(TEXT[name])

    def of(self, pair):
        return pair[self.french]

    def decimal(self, number, digits=0):
        text = f"{number:,.{digits}f}"
        return text.replace(",", " ").replace(".", ",") if self.french else text

    def seconds(self, ms):
        """As exact as it is of use."""
        if ms is None:
            return "–"
        if math.isinf(ms):
            return self("no end")
        return self.decimal(ms / 1000, 1 if ms < 9950 else 0)

    def between(self, first, last):
        return first if first == last else f"{first} – {last}"

    def count(self, figures):
        """How many there are, and how many of them failed."""
        failed = sum(not figure["passed"] for figure in figures)
        return f"{len(figures)}, {self('failed').format(failed)}" if failed else str(len(figures))

    def of_when(self, figures):
        """How many runs there were, and when."""
        dates = sorted(figure["date"] for figure in figures)
        dates = dates[0] if dates[0] == dates[-1] else self("to").format(dates[0], dates[-1])
        return self("of").format(self.count(figures), dates)


def table(head, rows, right):
    """A table of Markdown whose columns from `right` on are numbers."""
    rule = ["---"] * right + ["--:"] * (len(head) - right)
    return "\n".join(f"| {' | '.join(cell.replace('|', BAR) for cell in row)} |" for row in [head, rule, *rows])


def split(key):
    """The variant, the event and the target of a drill's key."""
    variant, event, *target = key.split(" ")
    return variant, event, " ".join(target)


def is_outage(of_key):
    return any("write_ms" in figure or "read_ms" in figure for figure in of_key)


def events_of(figures, variants):
    """Of each event and target that has an outage: the figures by variant, in the order of EVENTS."""
    found = collections.defaultdict(dict)
    for key, of_key in figures.items():
        if key.count(" ") and key.split(" ")[0] in variants and is_outage(of_key):
            variant, event, target = split(key)
            found[event, target][variant] = of_key
    order = list(EVENTS)
    return sorted(
        found.items(), key=lambda item: (item[0][1] == "replica", order.index(item[0][0]) if item[0][0] in order else len(order), item[0])
    )


def event_name(event, target, words):
    if event not in EVENTS:
        return f"`{event} {target}`" if target else f"`{event}`"
    if not target:  # no drill does it
        return words.of(EVENTS[event])
    return f"{words.of(EVENTS[event])}{words.of(TARGETS.get(target, (f', {target}',) * 2))} (`{event}`)"


def note(figures, words):
    """What all these runs of drills come to."""
    unread = sum(figure.get("lost", 0) is None for figure in figures)
    total = lambda name: sum(figure.get(name) or 0 for figure in figures)
    text = words("note").format(
        acknowledged=words.decimal(total("acknowledged")),
        lost=words.decimal(total("lost")),
        double=words.decimal(total("two_primaries")),
    )
    return text + (words("unread").format(unread) if unread else "") + " " + words.of_when(figures)


def stale(figure):
    """The last that a primary answered as such once its node was cut off, where another took its place; None elsewhere."""
    isolated = figure.get("isolated")
    if not isolated or isolated["replaced_ms"] is None:
        return None
    return max(isolated["last_write_ms"] or 0, isolated["last_read_ms"] or 0)


def outages(arguments, figures, words):
    full = "full" in arguments
    only = [name for argument in arguments if argument.startswith("events=") for name in argument[len("events="):].split(",")]
    variants = [argument for argument in arguments if argument != "full" and not argument.startswith("events=")]
    if not variants:
        raise Wrong("outages: of which variant?")
    events = events_of(figures, variants)
    if not events:
        return words("none").format(command_of(f"{variants[0]} pod-delete primary"))
    used = [figure for _, by_variant in events for of_key in by_variant.values() for figure in of_key]
    if only:
        unknown = set(only) - set(EVENTS)
        if unknown:
            raise Wrong(f"outages: there is no event {', '.join(sorted(unknown))}")
        events = [((event, target), of) for (event, target), of in events if event in only and target != "replica"]
    rows = []
    if len(variants) == 1:
        more = [words("full"), words("isolated")] if full else []
        head = [words("event"), words("writes"), words("worst"), words("reads"), words("worst"), *more, words("runs")]
        for (event, target), by_variant in events:
            [of_key] = by_variant.values()
            row = [event_name(event, target, words)]
            for name in ("write_ms", "read_ms"):
                values = lengths(of_key, name)
                row += [words.seconds(median(values)), words.seconds(max(values, default=None))]
            if full:
                row += [words.seconds(median(lengths(of_key, "full_strength_ms"))), words.seconds(max(filter(None, map(stale, of_key)), default=None))]
            rows.append([*row, words.count(of_key)])
    else:
        head = [words("event"), *(f"{VARIANTS.get(variant, variant)}, {words('writes')}" for variant in variants)]
        for (event, target), by_variant in events:
            values = (median(lengths(by_variant.get(variant, []), "write_ms")) for variant in variants)
            rows.append([event_name(event, target, words), *map(words.seconds, values)])
    return f"{table(head, rows, 1)}\n\n{note(used, words)}"


def seen(of_key, words):
    """The fields of all runs of a key that passed, as ranges; why the newest failed, if none passed."""
    passed = [figure for figure in of_key if figure["passed"]]
    if not passed:
        return f"FAILED: {'; '.join(of_key[-1]['reasons'])}"
    parts = []
    for field in passed[-1]:
        values = [figure[field] for figure in passed if field in figure]
        if field == "at" or not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
            continue
        is_time = field.endswith("_ms")
        digits = 2 if any(isinstance(value, float) for value in values) else 0
        show = words.seconds if is_time else lambda value: words.decimal(value, digits)
        value = words.between(show(min(values)), show(max(values))) + (" s" if is_time else "")
        name = words.of(FIELDS[field]) if field in FIELDS else field.removesuffix("_ms").replace("_", " ")
        parts.append(f"{name} {value}" if is_time else f"{value} {name}")
    return (" ; " if words.french else "; ").join(parts) or words("passed")


def rows(variants, figures, words):
    keys = [key for key in figures if key.split(" ")[0] in variants and (key in ROWS or not is_outage(figures[key]))]
    if not keys:
        keys = [key for key in ROWS if key.split(" ")[0] in variants] or [f"{variants[0]} x"]
        command = command_of(keys[0])
        return words("none").format("just measure-q3" if command.startswith("just measure-q3") else command)
    order = list(ROWS)
    keys.sort(key=lambda key: (order.index(key) if key in order else len(order), key))
    cells = []
    for key in keys:
        name = words.of(ROWS[key]) if key in ROWS else f"`{key}`"
        cells.append([name, seen(figures[key], words), words.count(figures[key])])
    used = [figure for key in keys for figure in figures[key]]
    return f"{table([words('what'), words('seen'), words('runs')], cells, 2)}\n\n{words.of_when(used)}"


STEPS = {
    "lease_ms": "silent for 3 s: a watcher takes the lease",
    "endpoint_ms": "the new holder of the lease writes its address into the EndpointSlice of `pg-rw`",
    "elected_ms": "Patroni has elected it",
    "promoted_ms": "PostgreSQL is promoted",
    "last_proxy_ms": "the last node's proxy leads there",
    "first_commit_ms": "the client's first commit",
}


AWAY = {"write_ms": "without an acknowledged commit", "read_ms": "without an answer through `pg-ro`"}


def timeline(event, runs):
    """When each step of a node-off or node-cut came: median, least and most; and the medians as a picture."""
    for last in reversed(runs):
        of_run = [figure for figure in last["figures"] if figure["key"] == f"q2 {event}{TIMELINE}" and figure["passed"]]
        if of_run:
            break
    else:
        return Words("en")("none").format(f"just timeline 10 {event}")
    steps = {name: [figure[name] for figure in of_run if name in figure] for name in STEPS}
    steps = dict(sorted(((name, values) for name, values in steps.items() if values), key=lambda step: median(step[1])))
    away = {name: [figure[name] for figure in of_run if name in figure] for name in AWAY}
    rows = [
        [{**STEPS, **AWAY}[name], *(f"{value / 1000:.2f}" for value in (median(values), min(values), max(values)))]
        for name, values in [*steps.items(), *away.items()]
        if values
    ]
    bars, before = [], 0
    for name, values in steps.items():
        bars.append(f"    {STEPS[name].replace(':', ',').replace('`', '')} :{before}, {round(median(values))}")
        before = round(median(values))
    picture = "\n".join(["```mermaid", "gantt", "    dateFormat x", "    axisFormat %S.%L s", *bars, "```"])
    head = ["step", "median, s", "least", "most"]
    return f"{table(head, rows, 1)}\n\n{picture}\n\nRuns: {len(of_run)}; {of_run[0]['date']}, {last['file']}."


def sizing(figures):
    """Transactions a second, median, least and most, without and with the sizing, and by how much they differ."""
    cells, used = [], []
    for name, what in [("read-only", "reads (`pgbench -S`)"), ("read-write", "reads and writes")]:
        both = [[figure for figure in figures.get(f"sizing {which} {name}", []) if figure["passed"]] for which in ("none", "auto")]
        if all(both):
            used += both[0] + both[1]
            none, auto = ([figure["tps"] for figure in of_one] for of_one in both)
            shown = [f"{median(tps):,.0f} ({min(tps):,} – {max(tps):,})" for tps in (none, auto)]
            cells.append([what, *shown, f"{100 * (median(auto) / median(none) - 1):+.0f} %", f"{len(none)} and {len(auto)}"])
    if not cells:
        return Words("en")("none").format("just sizing")
    head = ["transactions a second, median (least – most)", "`postgres.sizing: none`", "the default", "difference", "runs"]
    return f"{table(head, cells, 1)}\n\n{Words('en').of_when(used)}"


def runs_table(runs):
    if not runs:
        return "No run is recorded yet: `just failures q2`."
    cells = []
    for run in runs:
        failed = sum(not figure["passed"] for figure in run["figures"])
        versions = ", ".join(f"{program} {version}" for program, version in run["versions"].items() if version)
        ended = "passed" if run["end"] == 0 else f"FAILED, exit status {run['end']}"
        commit = (run["commit"] or "unknown")[:10] + (", dirty" if run["dirty"] else "")
        name = f"[{run['file']}](runs/{run['file']})"
        cells.append([name, f"`{run['command']}`", commit, run.get("lab", "–"), versions or "–", str(len(run["figures"])), str(failed), ended])
    return table(["file", "command", "commit", "lab", "versions", "figures", "failed", "ended"], cells, 5)


# ------------------------------------------------------------------ promises


def functions():
    """All functions in the tests: FILE::FUNCTION, with `cluster::` before it for those that need a cluster."""
    names = set()
    for path in [*(ROOT / "tests").rglob("*.*"), *(ROOT / "src").rglob("*.rs")]:
        if path.suffix in (".rs", ".py"):
            of_cluster = "cluster::" if path.parent == ROOT / "tests/cluster" else ""
            found = re.findall(r"^\s*(?:(?:pub\(crate\) )?fn|def) (\w+)\(", path.read_text(encoding="utf-8"), re.M)
            names.update(f"{of_cluster}{path.stem}::{name}" for name in found)
    return names


def proof(text, figures, known):
    """The command of a proof, when it last ran, and how that came out."""
    kind, what = text.split(" ", 1)
    if kind in ("cluster", "unit"):
        if (f"cluster::{what}" if kind == "cluster" else what) not in known:
            raise Wrong(f"promises.json: there is no test {what}")
        return f"`{'just cluster' if kind == 'cluster' else 'just test'}`: `{what}`", "every CI run", "passes"
    if kind == "hand":
        return what, what.split(",")[0].split(" ")[0], "seen by hand; no raw file"
    if kind != "key":
        raise Wrong(f"promises.json: a proof begins with cluster, unit, key or hand: {text}")
    of_key = figures.get(what)
    if not of_key:
        return f"`{command_of(what)}`: {what}", "–", "not run yet"
    last = of_key[-1]
    result = seen([last], Words("en"))
    return f"`{command_of(what)}`: {what}", last["date"], result if not last["passed"] or result == "passed" else f"passed: {result}"


def promises(figures):
    known = functions()
    text = []
    for scenario, of_scenario in json.loads((ROOT / "docs/proof/promises.json").read_text(encoding="utf-8")).items():
        rows = []
        for promise, proofs in of_scenario.items():
            found = [proof(one, figures, known) for one in proofs] or [("–", "–", "**NOT PROVEN**")]
            rows.append([promise, *("<br>".join(column) for column in zip(*found))])
        text.append(f"### {scenario}\n\n{table(['promise', 'command: proof', 'last run', 'result'], rows, 4)}")
    return "\n\n".join(text)


# ------------------------------------------------------------------ files


def block(what, runs, figures):
    kind, *arguments = what.split(" ")
    langs = [argument for argument in arguments if argument.startswith("lang=")]
    arguments = [argument for argument in arguments if argument not in langs]
    words = Words(langs[0].removeprefix("lang=") if langs else "en")
    if kind == "outages":
        return outages(arguments, figures, words)
    if kind == "rows":
        return rows(arguments, figures, words)
    if kind == "sizing":
        return sizing(figures)
    if kind == "timeline":
        return timeline(*arguments, runs)
    if kind == "runs":
        return runs_table(runs)
    if kind == "promises":
        return promises(figures)
    raise Wrong(f"there is no table of `{what}`")


def written(path, runs, figures):
    """The file with its tables made again."""
    text = path.read_text(encoding="utf-8")

    def made(match):
        inner = block(match["what"], runs, figures)
        if "templates" in path.parts and re.search(r"\{[{%#]", inner):
            raise Wrong(f"{path}: a table would hold a tag of the template")
        return f"{match['begin']}\n{inner}\n{match['end']}"

    made_text = BLOCK.sub(made, text)
    marks = len(re.findall(r"(?:<!--|\{#-?) (?:figures:|end of figures)", text))
    if marks != 2 * len(BLOCK.findall(text)):
        raise Wrong(f"{path}: a mark of a table is without the other")
    return made_text


def main(check):
    runs = load(ROOT / "docs/proof/runs")
    figures = by_key(runs)
    limits = ROOT / "docs/proof/medians.json"
    files = {limits: medians(figures, json.loads(limits.read_text(encoding="utf-8")))}
    for path in [ROOT / "README.md", *(ROOT / "docs/proof").glob("*.md"), *(ROOT / "templates").rglob("README.*")]:
        files[path] = written(path, runs, figures)
    differ = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in differ:
        if check:
            print(f"{path.relative_to(ROOT)} is not what docs/proof/runs comes to: `just figures` makes it again")
        else:
            path.write_text(files[path], encoding="utf-8")
    return 1 if check and differ else 0


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit("usage: measure/figures.py [--check]")
    try:
        sys.exit(main(bool(sys.argv[1:])))
    except Wrong as wrong:
        sys.exit(f"error: {wrong}")
