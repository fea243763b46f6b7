#include "controller/cli/verbs.h"

#include "common/spec.h"
#include "controller/cli/cli.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct option deploy_options[] = {
    {"name", 0, "NAME", "the function's name (default: that of the folder or file)",
     NULL},
    {"runtime", 0, "RUNTIME", "how the program is run (default: guessed, and said)",
     "python*|node*|http|exec|provided*"},
    {"handler", 0, "CMD",
     "the program in the package, with arguments; python, node: module.function", NULL},
    {"env", 'e', "K=V", "an environment variable; may be repeated", NULL},
    {"layer", 0, "NAME[:VERSION]", "a layer at /opt; may be repeated, later ones win",
     NULL},
#define X(member, key, flag, min, max, dflt, unit, help) \
    {flag, 0, "N", help " (" unit ", " #min " to " #max "; default: " #dflt ")", NULL},
    SPEC_NUMBERS(X) SPEC_DECIMALS(X)
#undef X
        {"metric", 0, "METRIC",
         "what scales it: calls at once (the default), or calls begun per second",
         "concurrency|rps"},
    {"keep-alive", 0, "HOW",
     "idle instances are kept as calls are used to come (default), or for --idle, "
     "which if given makes it fixed",
     "learned|fixed"},
    {"constraint", 0, "EXPR",
     "only nodes whose labels fit: K=V, K!=V or K=~V|W; may be repeated", NULL},
    {"placement", 0, "POLICY",
     "which of the nodes that fit come first (default: default)",
     "binpack|spread|default"},
    {"no-reuse", 0, NULL, "a fresh sandbox for every call (not http)", NULL},
    {"canary", 0, "PERCENT", "give it this share of the calls first, then all", NULL},
    {"steps", 0, "P,P,...", "give it these shares of the calls one after the other",
     NULL},
    {"step-time", 0, "TIME", "each step lasts at least so long (default: 60s)", NULL},
    {"min-calls", 0, "N", "and so many calls of the new version (default: 20)", NULL},
    {"max-error-rate", 0, "PERCENT",
     "go back when over so many of its calls failed (default: 1%)", NULL},
    {"no-build", 0, NULL, "do not run the build command of function.yaml", NULL},
    {"wait", 0, NULL, "wait until the version serves or has failed (this is the default)",
     NULL},
    {"no-wait", 0, NULL, "return as soon as the version is recorded", NULL},
    {"wait-timeout", 0, "TIME", "wait so long (default: 120s)", NULL},
};

static const struct option publish_options[] = {
    {"version", 0, "N", "that version (default: the latest)", NULL},
    {"description", 0, "TEXT", "said of it in lists", NULL},
};

static const struct option versions_options[] = {
    {"delete", 0, "N", "delete that version", NULL},
};

static const struct option alias_options[] = {
    {"description", 0, "TEXT", "set: said of it in lists", NULL},
};

static const struct option rollback_options[] = {
    {"to", 0, "N", "to that version (default: the one that served before)", NULL},
};

static const struct option layer_options[] = {
    {"all", 'A', NULL, "list: layers of all namespaces", NULL},
    {"description", 0, "TEXT", "publish: what it is", NULL},
};

static const struct option invoke_options[] = {
    {"data", 'd', "TEXT", "the request's body", NULL},
    {"data-file", 0, "FILE", "the request's body from a file; - is stdin", NULL},
    {"header", 'H', "K: V", "a request header; may be repeated", NULL},
    {"path", 0, "PATH", "path and query after the function's name", NULL},
    {"method", 'X', "METHOD", "default: POST with a body, else GET", NULL},
    {"include", 'i', NULL, "show status and headers of the reply on stderr", NULL},
    {"max-time", 0, "TIME", "give up after this (default: 15m)", NULL},
};

static const struct option list_options[] = {
    {"all", 'A', NULL, "functions of all namespaces", NULL},
    {"limit", 0, "N", "the first N by their names (default: all)", NULL},
};

static const struct option logs_options[] = {
    {"follow", 'f', NULL, "go on showing lines as they come", NULL},
    {"tail", 0, "N", "the last N lines of each instance (default: 100)", NULL},
    {"version", 0, "N", "of that version only", NULL},
    {"no-prefix", 0, NULL, "the text only", NULL},
};

static const struct option events_options[] = {
    {"follow", 'f', NULL, "go on showing events as they come", NULL},
    {"all", 'A', NULL, "of functions of all namespaces", NULL},
    {"node", 0, "NODE", "of that host only", NULL},
    {"tail", 0, "N", "the last N (default: 100)", NULL},
};

static const struct option top_options[] = {
    {"all", 'A', NULL, "functions of all namespaces", NULL},
    {"interval", 0, "N", "seconds between two looks (default: 2)", NULL},
    {"once", 0, NULL, "one look only, as when stdout is no terminal", NULL},
};

static const struct option dev_options[] = {
    {"detach", 0, NULL, "return when it is ready; it goes on in the background", NULL},
    {"dir", 0, "DIR", "state (MAYFLY_DEV_DIR; default: /var/lib/mayfly-dev)", NULL},
    {"host", 0, "ADDRESS", "address to listen on (default: 127.0.0.1)", NULL},
    {"gateway-port", 0, "PORT", "calls (default: 8080)", NULL},
    {"rest-port", 0, "PORT", "the controller's REST API (default: 8090)", NULL},
    {"hub-port", 0, "PORT", "between controller and agent (default: 8091)", NULL},
    {"metrics-port", 0, "PORT", "the agent's metrics (default: 8092)", NULL},
    {"ready-timeout", 0, "TIME", "give up if it is not ready by then (default: 60s)",
     NULL},
};

static const struct option doctor_options[] = {
    {"dir", 0, "DIR",
     "state folder to check (MAYFLY_DEV_DIR; default: /var/lib/mayfly-dev)", NULL},
};

static const struct option node_options[] = {
    {"deadline", 0, "TIME", "drain: wait so long at most (default: 10m)", NULL},
    {"no-wait", 0, NULL, "drain: return at once", NULL},
};

static const struct option keys_options[] = {
    {"access-key-id", 0, "ID", "create: bring an existing pair along", NULL},
    {"secret-access-key", 0, "SECRET", "create: and its secret", NULL},
};

static const struct option help_options[] = {
    {"man", 0, NULL, "as a man page (roff)", NULL},
    {"man-dir", 0, "DIR", "write all man pages into a folder", NULL},
};

#define EXAMPLES(...)     \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }
#define OPTIONS(array) .options = (array), .n_options = N_OF(array)

static const struct verb verbs[] = {
    {.name = "dev",
     .operands = "[stop]",
     .max_operands = 1,
     .operand = OPERAND_CHOICE,
     .operand_choices = "stop",
     .summary = "run a one-host cluster, or stop it",
     .text =
         "Starts a controller with its embedded store and an agent on this host, and "
         "waits until they are ready. In the foreground Ctrl-C ends both. With --detach "
         "it goes on in the background until `mayfly dev stop`, which leaves no process, "
         "mount or control group behind. What is deployed stays in the state folder for "
         "the next start. Starting it twice is harmless. Needs root.",
     .examples = EXAMPLES("mayfly dev", "run until Ctrl-C", "mayfly dev --detach",
                          "run in the background", "mayfly dev stop", "end it",
                          "mayfly dev --gateway-port 9080 --rest-port 9090",
                          "when the usual ports are taken"),
     OPTIONS(dev_options),
     .run = verb_dev},
    {.name = "deploy",
     .operands = "PATH",
     .min_operands = 1,
     .max_operands = 1,
     .operand = OPERAND_PATH,
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL,
     .summary = "deploy a folder, an archive or one file as a function",
     .text =
         "Makes the next version of a function, which takes over once it can serve; a "
         "version that cannot start leaves the one before it serving. A function.yaml in "
         "the folder gives the defaults for all options: name, runtime, handler, memory, "
         "cpu, timeout, concurrency, env and so on; build is a shell command that is run "
         "in the folder first. Times are written 500ms or 30s, memory 128 or 1Gi, CPU "
         "500 (thousandths) or 0.5. With --canary or --steps the new version takes the "
         "calls "
         "step by step, and goes back by itself when too many of them fail; deploy waits "
         "and says what happens.",
     .examples =
         EXAMPLES("mayfly deploy ./thumbnail", "a folder with a function.yaml",
                  "mayfly deploy hello.sh --runtime exec", "one script",
                  "mayfly deploy app.py", "a function: def handler(event, context)",
                  "mayfly deploy app.zip --name app --runtime http --handler server",
                  "an archive", "mayfly deploy . --memory 256 --env LEVEL=debug",
                  "with settings", "mayfly deploy . --constraint disk=ssd --reserved 10",
                  "on nodes with this label, with room for ten calls always",
                  "mayfly deploy . --canary 10% --steps 10,25,50 --step-time 60s",
                  "step by step, and back by itself when calls of it fail"),
     OPTIONS(deploy_options),
     .run = verb_deploy},
    {.name = "invoke",
     .operands = "NAME [-]",
     .min_operands = 1,
     .max_operands = 2,
     .operand = OPERAND_FUNCTION,
     .shared = VERB_NAMESPACE | VERB_GATEWAY,
     .summary = "call a function and print its reply",
     .text =
         "The reply's body goes to stdout as it comes. A reply with a status of 400 or "
         "more ends with exit code 9, a call that mayfly could not make with the code of "
         "its cause.",
     .examples =
         EXAMPLES("mayfly invoke hello --data World", "a body from the command line",
                  "mayfly invoke thumbnail --data-file in.png > out.png",
                  "from a file to a file", "date | mayfly invoke hello -", "from stdin",
                  "mayfly invoke api --path '/users?id=1' --method DELETE -i",
                  "another path and method, with the reply's headers"),
     OPTIONS(invoke_options),
     .run = verb_invoke},
    {.name = "versions",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .operand = OPERAND_FUNCTION,
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL,
     .summary = "list a function's versions, or delete one",
     .text =
         "Every deploy makes a version with the next number. The latest 100 are kept, "
         "and those that are published, have an alias or serve. PUBLISHED is the number "
         "that Lambda's clients know a version by.",
     .examples = EXAMPLES("mayfly versions hello", "all versions",
                          "mayfly versions hello --delete 3", "delete one"),
     OPTIONS(versions_options),
     .run = verb_versions},
    {.name = "publish",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .operand = OPERAND_FUNCTION,
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL,
     .summary = "keep a version until it is deleted",
     .text = "Gives it the next of the numbers 1, 2, 3 that count publications. What has "
             "not changed since the last one is not published again.",
     .examples = EXAMPLES("mayfly publish hello", "the latest version",
                          "mayfly publish hello --version 3 --description 'May release'",
                          "another one, with a text"),
     OPTIONS(publish_options),
     .run = verb_publish},
    {.name = "alias",
     .operands = "set|list|delete NAME [ALIAS] [VERSION[=PERCENT],...]",
     .min_operands = 2,
     .max_operands = 4,
     .operand = OPERAND_CHOICE,
     .operand_choices = "set|list|delete",
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL,
     .summary = "names for versions, and for splits over several",
     .text =
         "NAME:ALIAS is called like a function. An alias stays with its versions "
         "whatever is deployed; setting it moves all its calls at once. The percentages "
         "of a split add up to 100.",
     .examples = EXAMPLES("mayfly alias set hello live 3", "one version",
                          "mayfly alias set hello live v1=90,v2=10", "a split",
                          "mayfly invoke hello:live", "call it",
                          "mayfly alias list hello", "what there is"),
     OPTIONS(alias_options),
     .run = verb_alias},
    {.name = "rollback",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .operand = OPERAND_FUNCTION,
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL,
     .summary = "serve the version before, at once",
     .text = "What served in the last five minutes is still warm. While a version is "
             "rolled out this ends the rollout.",
     .examples = EXAMPLES("mayfly rollback hello", "to what served before",
                          "mayfly rollback hello --to 3", "to a certain version"),
     OPTIONS(rollback_options),
     .run = verb_rollback},
    {.name = "rollout",
     .operands = "status NAME",
     .min_operands = 2,
     .max_operands = 2,
     .operand = OPERAND_CHOICE,
     .operand_choices = "status",
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL,
     .summary = "how far the last `deploy --canary` is",
     .text = "The share of the calls that the new version has, and how they went.",
     .examples = EXAMPLES("mayfly rollout status hello", "for people"),
     .run = verb_rollout},
    {.name = "list",
     .operands = "",
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL,
     .summary = "list functions",
     .text = "Functions by their names, with state, serving version, instances and "
             "calls.",
     .examples = EXAMPLES(
         "mayfly list", "functions of the namespace", "mayfly list -A -o wide",
         "of all namespaces, with more columns", "mayfly list -o name", "names only"),
     OPTIONS(list_options),
     .run = verb_list},
    {.name = "describe",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .operand = OPERAND_FUNCTION,
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL,
     .summary = "show all about a function",
     .text =
         "Its settings, versions and why they failed, where it may run, and what runs.",
     .examples = EXAMPLES("mayfly describe hello", "for people",
                          "mayfly describe hello -o yaml", "whole"),
     .run = verb_describe},
    {.name = "explain",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .operand = OPERAND_FUNCTION,
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL,
     .summary = "say why a function is as it is",
     .text = "Why it has so many instances and why on these hosts and not on others; why "
             "the last cold start happened and how long it took; why a call last waited "
             "or was refused.",
     .examples = EXAMPLES("mayfly explain hello", "for people",
                          "mayfly explain hello -o json", "for programs"),
     .run = verb_explain},
    {.name = "delete",
     .operands = "NAME...",
     .min_operands = 1,
     .max_operands = ARGS_OPERANDS_MAX,
     .operand = OPERAND_FUNCTION,
     .shared = VERB_NAMESPACE | VERB_URL,
     .summary = "delete functions with all their versions",
     .text = "Calls that run are let end; new ones get 404.",
     .examples = EXAMPLES("mayfly delete hello", "delete one function"),
     .run = verb_delete},
    {.name = "logs",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .operand = OPERAND_FUNCTION,
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL,
     .summary = "show what a function printed",
     .text = "Lines of stdout and stderr of its instances on all nodes. With -o json one "
             "object a line.",
     .examples = EXAMPLES("mayfly logs hello", "the last lines", "mayfly logs -f hello",
                          "and those that come",
                          "mayfly logs hello --version 2 --tail 1000", "of one version"),
     OPTIONS(logs_options),
     .run = verb_logs},
    {.name = "events",
     .operands = "[NAME]",
     .max_operands = 1,
     .operand = OPERAND_FUNCTION,
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL,
     .summary = "show what the cluster decided and what became of its hosts",
     .text = "Deploys and how they ended, scaling, each step of rollouts, rollbacks, "
             "aliases, what has "
             "no room, hosts that came, went or were "
             "drained: the newest 4096 are kept while the controller runs. With -o json "
             "one object a line.",
     .examples = EXAMPLES("mayfly events", "the last ones", "mayfly events -f hello",
                          "those of one function, as they come",
                          "mayfly events --node node2", "what became of a host"),
     OPTIONS(events_options),
     .run = verb_events},
    {.name = "top",
     .operands = "",
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL,
     .summary = "show functions and hosts live, the busiest first",
     .text = "Instances (and how many are wanted), calls that wait, calls a second, the "
             "share of them that were cold or failed, how long they took in the last "
             "minute, CPU in cores, memory that instances may use. Ctrl-C ends it.",
     .examples = EXAMPLES("mayfly top", "until Ctrl-C", "mayfly top -A --interval 5",
                          "all namespaces, every 5 seconds", "mayfly top --once -o json",
                          "for programs"),
     OPTIONS(top_options),
     .run = verb_top},
    {.name = "nodes",
     .operands = "",
     .shared = VERB_OUTPUT | VERB_URL,
     .summary = "list the cluster's hosts",
     .text = "Hosts with an agent: state, memory, instances.",
     .examples = EXAMPLES("mayfly nodes", "all hosts", "mayfly nodes -o wide",
                          "with addresses and labels"),
     .run = verb_nodes},
    {.name = "node",
     .operands = "[cordon|uncordon|drain|label] NODE [KEY=VALUE|KEY-...]",
     .min_operands = 1,
     .max_operands = ARGS_OPERANDS_MAX,
     .operand = OPERAND_CHOICE,
     .operand_choices = "cordon|uncordon|drain|label",
     .shared = VERB_OUTPUT | VERB_URL,
     .summary = "show a host, take it out of work and back, or label it",
     .text =
         "Without a word before it: what there is of the host, also the sandboxes and "
         "interpreters that were made ahead (blanks). cordon: nothing new is placed "
         "there, what runs stays. drain: its functions "
         "go to other hosts, calls in flight end, then its instances go; it waits for "
         "that. uncordon ends both. What was said of a host outlives restarts of it "
         "and of the controller. KEY- removes a label that was set here.",
     .examples =
         EXAMPLES("mayfly node node2", "all about it", "mayfly node drain node2",
                  "before maintenance", "mayfly node drain node2 --deadline 5m",
                  "and wait so long at most", "mayfly node uncordon node2", "after it",
                  "mayfly node label node2 zone=a gpu-", "set one label, remove another"),
     OPTIONS(node_options),
     .run = verb_node},
    {.name = "layer",
     .operands = "list|publish|delete [NAME[:VERSION] [PATH]]",
     .min_operands = 1,
     .max_operands = 3,
     .operand = OPERAND_CHOICE,
     .operand_choices = "list|publish|delete",
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL,
     .summary = "list, publish or delete layers",
     .text = "A layer is a package that functions have at /opt: libraries, programs in "
             "/opt/bin, Lambda's extensions in /opt/extensions. publish makes the next "
             "version "
             "of it from a folder, an archive or a file. A function keeps the versions "
             "that it "
             "was deployed with, also when they are deleted.",
     .examples =
         EXAMPLES("mayfly layer publish tools ./tools", "make its next version",
                  "mayfly layer list", "all versions of all layers",
                  "mayfly deploy . --layer tools:2", "a function that has it at /opt",
                  "mayfly layer delete tools:1", "delete one version"),
     OPTIONS(layer_options),
     .run = verb_layer},
    {.name = "keys",
     .operands = "[create|list|delete ACCESS-KEY-ID]",
     .max_operands = 2,
     .operand = OPERAND_CHOICE,
     .operand_choices = "create|list|delete",
     .shared = VERB_NAMESPACE | VERB_OUTPUT | VERB_URL | VERB_GATEWAY,
     .summary = "access keys for AWS's tools",
     .text =
         "The aws command line and AWS's libraries sign what they ask; a key belongs to "
         "a "
         "namespace, whose functions they then see as AWS Lambda's. The secret is shown "
         "once, when the key is made. A key that is deleted is refused everywhere within "
         "moments.",
     .examples = EXAMPLES(
         "mayfly keys create", "a new pair", "mayfly keys list", "those of the namespace",
         "mayfly keys create --access-key-id A --secret-access-key S",
         "bring an existing pair along", "mayfly keys delete AKIA...", "no longer valid"),
     OPTIONS(keys_options),
     .run = verb_keys},
    {.name = "namespaces",
     .operands = "[create|delete NAME]",
     .max_operands = 2,
     .operand = OPERAND_CHOICE,
     .operand_choices = "create|delete",
     .shared = VERB_OUTPUT | VERB_URL,
     .summary = "list, create or delete namespaces",
     .text =
         "A namespace owns functions; its sandboxes run as a user of their own. Only an "
         "empty one can be deleted.",
     .examples =
         EXAMPLES("mayfly namespaces", "list them", "mayfly namespaces create team",
                  "make one", "mayfly deploy . -n team", "use it"),
     .run = verb_namespaces},
    {.name = "status",
     .operands = "",
     .shared = VERB_OUTPUT | VERB_URL,
     .summary = "show how the cluster is",
     .text = "Controller, store, nodes, functions and instances in a few lines.",
     .examples =
         EXAMPLES("mayfly status", "for people", "mayfly status -o json", "for programs"),
     .run = verb_status},
    {.name = "doctor",
     .operands = "",
     .shared = VERB_OUTPUT | VERB_URL | VERB_GATEWAY,
     .summary = "check what this host has, lacks, and how to mend it",
     .text =
         "Kernel features, control groups, programs, limits, disk, ports and whether a "
         "cluster answers. Exit code 1 if something that mayfly needs is missing.",
     .examples = EXAMPLES("mayfly doctor", "check this host", "mayfly doctor -o json",
                          "for programs"),
     OPTIONS(doctor_options),
     .run = verb_doctor},
    {.name = "completion",
     .operands = "[bash]",
     .max_operands = 1,
     .operand = OPERAND_CHOICE,
     .operand_choices = "bash",
     .summary = "print the completion script for bash",
     .text = "The packages install it; without them, load it in ~/.bashrc.",
     .examples = EXAMPLES("source <(mayfly completion bash)", "for this shell"),
     .run = verb_completion},
    {.name = "version",
     .operands = "",
     .shared = VERB_OUTPUT | VERB_URL,
     .summary = "show the versions of this program and of the controller",
     .text = "A controller that does not answer is no error.",
     .examples = EXAMPLES("mayfly version", "both versions"),
     .run = verb_version},
    {.name = "help",
     .operands = "[VERB|environment|exit-codes]",
     .max_operands = 1,
     .operand = OPERAND_VERB,
     .summary = "show help about a verb",
     .text = "Without a verb it lists all.",
     .examples = EXAMPLES("mayfly help deploy", "about deploy", "mayfly help exit-codes",
                          "what the exit codes mean",
                          "mayfly help --man deploy | man -l -", "as a man page"),
     OPTIONS(help_options),
     .run = verb_help},
};

const struct verb_table cli_verbs = {verbs, N_OF(verbs)};
