/* What a path to deploy becomes: name, runtime, package, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the above */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/archive.h"
#include "controller/cli/source.h"
#include "controller/cli/verbs.h"

static char folder[] = "/tmp/mayfly-cli-XXXXXX";
static struct args args;
static struct cli cli;
static struct source source;
static struct progress progress;
static char captured[8192]; /* stderr of the last OPEN() */

static void put(const char *name, mode_t mode, const char *text)
{
    char path[256];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

/* `mayfly deploy` with these arguments, in the folder. */
static int open_source(char **argv)
{
    int saved = dup(STDERR_FILENO);
    int argc = 0;
    struct error err = {0};
    FILE *f = tmpfile();
    size_t n;
    int rc;

    while (argv[argc] != NULL) {
        argc++;
    }
    assert_int_equal(args_parse(&args, &cli_verbs, argc, argv, &err), 0);
    cli = (struct cli){.args = &args, .ns = "default"};
    progress_init(&progress, true);
    source_close(&source);
    (void)fflush(stderr);
    (void)dup2(fileno(f), STDERR_FILENO);
    rc = source_open(&source, &cli, args.operands[0], &progress);
    (void)fflush(stderr);
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    rewind(f);
    n = fread(captured, 1, sizeof(captured) - 1, f);
    captured[n] = '\0';
    (void)fclose(f);
    return rc;
}

#define OPEN(...) open_source((char *[]){"mayfly", "deploy", __VA_ARGS__, NULL})
#define ASSERT_SAID(text)                                       \
    do {                                                        \
        if (strstr(captured, (text)) == NULL) {                 \
            fail_msg("\"%s\" is not in: %s", (text), captured); \
        }                                                       \
    } while (0)

static int setup(void **state)
{
    (void)strcpy(folder + strlen(folder) - 6, "XXXXXX");
    source = (struct source){.fd = -1};
    function_spec_init(&source.spec);
    return mkdtemp(folder) != NULL ? chdir(folder) : -1;
}

static int teardown(void **state)
{
    source_close(&source);
    return chdir("/") == 0 ? archive_remove_tree(folder, NULL) : -1;
}

/* Names are made of what a path ends with, and only if that gives one. */
static void names(void **state)
{
    char name[SPEC_NAME_MAX + 1];

    assert_true(source_name_of("/x/My_Thing.tar.gz", name));
    assert_string_equal(name, "my-thing");
    assert_true(source_name_of("/a/b/--x--", name));
    assert_string_equal(name, "x");
    assert_false(source_name_of("/a/.hidden", name));
    assert_false(source_name_of("/", name));
    assert_true(
        source_name_of("/0123456789012345678901234567890123456789012345678901234567890"
                       "123456789",
                       name));
    assert_int_equal(strlen(name), SPEC_NAME_MAX);
}

/* One script: its own name, exec, the file as it is. */
static void one_file(void **state)
{
    put("hello.sh", 0755, "#!/bin/sh\necho\n");
    assert_int_equal(OPEN("hello.sh"), 0);
    assert_string_equal(source.name, "hello");
    assert_int_equal(source.spec.runtime, SPEC_RUNTIME_EXEC);
    assert_int_equal(source.package.format, SPEC_FORMAT_FILE);
    assert_string_equal(source.package.file_name, "hello.sh");
    assert_int_equal(source.package.bytes, 15);
    ASSERT_SAID("runtime: exec");
}

/* What is no program needs to be said how it is run. */
static void one_file_that_is_no_program(void **state)
{
    put("notes.txt", 0644, "notes\n");
    assert_int_equal(OPEN("notes.txt"), EXIT_CODE_USAGE);
    ASSERT_SAID("neither a script (#!) nor a binary");
    assert_int_equal(OPEN("notes.txt", "--runtime", "exec"), 0);
}

/* A module with a function of a usual name, or with the one that is named, is called by
 * the runtime of its language; a folder's order says nothing. */
static void modules(void **state)
{
    static const struct {
        const char *file, *text, *handler, *flag; /* flag: --handler, or NULL */
        enum spec_runtime runtime;
    } all[] = {
        {"app.py", "import os\ndef handler(event, context):\n", "app.handler", NULL,
         SPEC_RUNTIME_PYTHON},
        {"lambda_function.py", "def lambda_handler (e, c):\n",
         "lambda_function.lambda_handler", NULL, SPEC_RUNTIME_PYTHON},
        {"main.py", "handler = make()\n", "main.handler", NULL, SPEC_RUNTIME_PYTHON},
        {"index.js", "'use strict';\nexports.handler = async () => 1;", "index.handler",
         NULL, SPEC_RUNTIME_NODE},
        {"app.cjs", "module.exports = { other, handler };\n", "app.handler", NULL,
         SPEC_RUNTIME_NODE},
        {"index.mjs", "export const handler = async () => 1;\n", "index.handler", NULL,
         SPEC_RUNTIME_NODE},
        {"odd.py", "", "odd.name", "odd.name", SPEC_RUNTIME_PYTHON},
        {"odd.mjs", "", "odd.a.b", "odd.a.b", SPEC_RUNTIME_NODE},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        put(all[i].file, 0644, *all[i].text != '\0' ? all[i].text : "\n");
        assert_int_equal(all[i].flag != NULL
                             ? OPEN(".", "--name", "x", "--handler", (char *)all[i].flag)
                             : OPEN(".", "--name", "x"),
                         0);
        assert_int_equal(source.spec.runtime, all[i].runtime);
        assert_string_equal(source.spec.handler, all[i].handler);
        assert_int_equal(OPEN((char *)all[i].file, "--name", "x", "--runtime",
                              (char *)(all[i].runtime == SPEC_RUNTIME_NODE ? "nodejs20.x"
                                                                           : "python3")),
                         0);
        assert_int_equal(source.spec.runtime, all[i].runtime);
        assert_int_equal(unlink(all[i].file), 0);
    }
    put("app.py", 0644, "def other(event, context):\n    handler = 1\n");
    put("app.js", 0644, "handler = 1; exports.handlers = 2;\n");
    assert_int_equal(OPEN(".", "--name", "x"), EXIT_CODE_USAGE);
    ASSERT_SAID("no handler in an app.py");
    assert_int_equal(OPEN(".", "--name", "x", "--runtime", "pythonic"), EXIT_CODE_USAGE);
    ASSERT_SAID("no such runtime");
    put("index.js", 0644, "exports.handler = f;\n");
    put("lambda_function.py", 0644, "def handler(event, context): pass\n");
    assert_int_equal(OPEN(".", "--name", "x"), 0);
    assert_string_equal(source.spec.handler, "lambda_function.handler");
    assert_int_equal(OPEN(".", "--name", "x", "--runtime", "node"), 0);
    assert_string_equal(source.spec.handler, "index.handler");
    assert_int_equal(unlink("app.py") | unlink("app.js") | unlink("index.js"), 0);
    assert_int_equal(unlink("lambda_function.py"), 0);
}

/* A bootstrap is run as provided, if it can be executed. */
static void bootstrap(void **state)
{
    put("bootstrap", 0755, "#!/bin/sh\n");
    assert_int_equal(OPEN(".", "--name", "x"), 0);
    assert_int_equal(source.spec.runtime, SPEC_RUNTIME_PROVIDED);
    put("bootstrap", 0644, "#!/bin/sh\n");
    assert_int_equal(OPEN(".", "--name", "x"), EXIT_CODE_USAGE);
    ASSERT_SAID("chmod +x");
}

/* The only program of a folder is its handler; of two, one must be named. */
static void only_program(void **state)
{
    put("run.sh", 0755, "#!/bin/sh\n");
    put("data.txt", 0644, "x");
    assert_int_equal(OPEN(".", "--name", "x"), 0);
    assert_int_equal(source.spec.runtime, SPEC_RUNTIME_EXEC);
    assert_string_equal(source.spec.handler, "run.sh");
    ASSERT_SAID("handler: run.sh");
    put("other.sh", 0755, "#!/bin/sh\n");
    assert_int_equal(OPEN(".", "--name", "x"), EXIT_CODE_USAGE);
    ASSERT_SAID("several executable files");
}

/* --idle makes the keep-alive fixed, also over function.yaml; --keep-alive has the last
 * word. */
static void idle_flag_is_fixed(void **state)
{
    put("function.yaml", 0644,
        "name: named\nruntime: http\nhandler: a\nkeep-alive: learned\n");
    assert_int_equal(OPEN("."), 0);
    assert_int_equal(source.spec.keep_alive, SPEC_KEEP_ALIVE_LEARNED);
    assert_int_equal(OPEN(".", "--idle", "5m"), 0);
    assert_int_equal(source.spec.keep_alive, SPEC_KEEP_ALIVE_FIXED);
    assert_int_equal(source.spec.idle_ms, 300000);
    assert_int_equal(OPEN(".", "--keep-alive", "learned", "--idle", "5m"), 0);
    assert_int_equal(source.spec.keep_alive, SPEC_KEEP_ALIVE_LEARNED);
}

/* function.yaml gives the defaults, flags win over it. */
static void flags_win(void **state)
{
    put("function.yaml", 0644,
        "name: named\nruntime: http\nhandler: a\nmemory: 64\nenv: {A: \"1\", B: "
        "\"2\"}\n");
    assert_int_equal(OPEN(".", "--handler", "b c", "--memory", "256Mi", "--env", "B=3=4"),
                     0);
    assert_string_equal(source.name, "named");
    assert_int_equal(source.spec.runtime, SPEC_RUNTIME_HTTP);
    assert_string_equal(source.spec.handler, "b c");
    assert_int_equal(source.spec.memory_mib, 256);
    assert_int_equal(source.spec.n_env, 2);
    assert_string_equal(source.spec.env[1].value, "3=4");
}

/* Two packings of the same content have the same digest; .git is left out, and what
 * .mayflyignore names. */
static void reproducible(void **state)
{
    char digest[SPEC_DIGEST_LEN + 1];

    put("run.sh", 0755, "#!/bin/sh\n");
    put(".mayflyignore", 0644, "# not these\nnotes.txt\n  cache/\n");
    assert_int_equal(OPEN(".", "--name", "x"), 0);
    (void)strcpy(digest, source.package.digest);
    assert_int_equal(source.package.format, SPEC_FORMAT_TAR);
    assert_int_equal(mkdir(".git", 0755), 0);
    put(".git/HEAD", 0644, "x");
    put("notes.txt", 0600, "x");
    assert_int_equal(mkdir("cache", 0755), 0);
    put("cache/x", 0644, "x");
    assert_int_equal(OPEN(".", "--name", "x"), 0);
    assert_string_equal(source.package.digest, digest);
    put("more.txt", 0644, "x");
    assert_int_equal(OPEN(".", "--name", "x"), 0);
    assert_string_not_equal(source.package.digest, digest);
}

/* A pattern in .mayflyignore would be taken for more than it does. */
static void ignored_are_plain_names(void **state)
{
    put("run.sh", 0755, "#!/bin/sh\n");
    put(".mayflyignore", 0644, "a\n\n*.o\n");
    assert_int_equal(OPEN(".", "--name", "x"), EXIT_CODE_FAILED);
    ASSERT_SAID(".mayflyignore:3: \"*.o\"");
}

/* The build runs in the folder, before anything is packed or guessed. */
static void built(void **state)
{
    put("function.yaml", 0644,
        "name: x\nbuild: \"printf '#!/bin/sh' > bootstrap && chmod +x bootstrap\"\n");
    assert_int_equal(OPEN("."), 0);
    assert_int_equal(source.spec.runtime, SPEC_RUNTIME_PROVIDED);
    assert_int_equal(access("bootstrap", X_OK), 0);
    assert_int_equal(unlink("bootstrap"), 0);
    assert_int_equal(OPEN(".", "--no-build"), EXIT_CODE_USAGE);
}

/* A build that fails ends with what it printed. */
static void build_fails(void **state)
{
    put("function.yaml", 0644,
        "name: x\nruntime: exec\nbuild: \"echo a reason >&2; exit 3\"\n");
    assert_int_equal(OPEN("."), EXIT_CODE_FAILED);
    ASSERT_SAID("a reason\n");
    ASSERT_SAID("ended with status 3");
    put("function.yaml", 0644, "name: x\nruntime: exec\nbuild: \"kill -9 $$\"\n");
    assert_int_equal(OPEN("."), EXIT_CODE_FAILED);
    ASSERT_SAID("signal 9");
}

/* What a build leaves running does not hold the deploy up. */
static void build_leaves_something_running(void **state)
{
    put("run.sh", 0755, "#!/bin/sh\n");
    put("function.yaml", 0644, "name: x\nbuild: \"sleep 30 & echo $! > pid\"\n");
    assert_int_equal(OPEN("."), 0);
    assert_int_equal(system("kill $(cat pid)"), 0);
}

/* Mistakes are refused before anything is built or sent. */
static void refusals(void **state)
{
    put("run.sh", 0755, "#!/bin/sh\n");
    assert_int_equal(OPEN("nowhere"), EXIT_CODE_USAGE);
    ASSERT_SAID("No such file");
    assert_int_equal(OPEN("run.sh", "--memory", "lots"), EXIT_CODE_USAGE);
    ASSERT_SAID("--memory: ");
    assert_int_equal(OPEN("run.sh", "--env", "A"), EXIT_CODE_USAGE);
    assert_int_equal(OPEN("run.sh", "--env", "1A=1"), EXIT_CODE_USAGE);
    ASSERT_SAID("env.1A");
    assert_int_equal(OPEN("run.sh", "--name", "Run"), EXIT_CODE_USAGE);
    assert_int_equal(OPEN("run.sh", "--runtime", "http", "--no-reuse"), EXIT_CODE_USAGE);
    put("function.yaml", 0644, "runtime: exec\n\nmemroy: 1\n");
    assert_int_equal(OPEN("."), EXIT_CODE_USAGE);
    ASSERT_SAID("function.yaml:3: memroy");
    assert_int_equal(OPEN("/dev/null"), EXIT_CODE_USAGE);
    ASSERT_SAID("neither a folder nor a file");
}

/* Entries that the controller would refuse are named here already. */
static void refused_by_entry(void **state)
{
    put("run.sh", 0755, "#!/bin/sh\n");
    assert_int_equal(symlink("/etc/passwd", "out"), 0);
    assert_int_equal(OPEN(".", "--name", "x"), EXIT_CODE_FAILED);
    ASSERT_SAID("out");
    ASSERT_SAID("code: package_invalid");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(names),
        TEST(one_file),
        TEST(one_file_that_is_no_program),
        TEST(modules),
        TEST(bootstrap),
        TEST(only_program),
        TEST(flags_win),
        TEST(idle_flag_is_fixed),
        TEST(reproducible),
        TEST(built),
        TEST(ignored_are_plain_names),
        TEST(build_fails),
        TEST(refusals),
        TEST(build_leaves_something_running),
        TEST(refused_by_entry),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_source", tests, NULL, NULL);
}
