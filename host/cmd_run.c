/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm run: a pod manifest, or images given by name, ID or file. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/oci/ref.h"
#include "host/cli.h"
#include "host/fetch_images.h"
#include "host/image/store.h"
#include "host/paths.h"
#include "host/pod/podimage.h"
#include "host/pod/prepare.h"
#include "host/pod/reify.h"
#include "host/pod/scratch.h"
#include "schema/text.h"

#define GRACE_DEFAULT_MS 10000

struct run_options {
    struct prepare_options prepare;
    struct fetch_request fetch;
    const char *dir, *exec, *name, *exit_policy, *uuid_file, *format;
    struct opt_list environment, volumes, apparmor;
    bool no_scratch;
    bool wait_ready;
    char **args; /* words behind "--" */
    int nargs;
};

/* A file that begins with "{" is a manifest; anything else that exists is an archive. */
static bool is_manifest(const char *path)
{
    char head[256];
    struct stat st;
    if (str_ends(path, ".json")) /* no image is called so, and what is missing is a file */
        return true;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof(head));
    for (ssize_t i = 0; i < n; i++)
        if (!isspace((unsigned char)head[i]))
            return head[i] == '{';
    return false;
}

static int load_manifest(const char *path, struct ac_pod_manifest **ret, struct err *err)
{
    cleanup_free char *text = NULL;
    size_t len;
    struct ac_fault fault;
    if (read_file_at(AT_FDCWD, path, AC_MANIFEST_MAX, &text, &len, err) < 0)
        return -1;
    if (ac_pod_manifest_parse(text, len, true, ret, &fault) < 0) {
        ac_fault_to_err(&fault, path, err);
        return -1;
    }
    if (!(*ret)->napps)
        return err_set(err, 0, "%s: $.apps: there is no app to run", path);
    return 0;
}

static struct ac_pod_app *add_app(struct ac_pod_manifest *pod)
{
    pod->apps = xreallocarray(pod->apps, pod->napps + 1, sizeof(*pod->apps));
    struct ac_pod_app *app = &pod->apps[pod->napps];
    memset(app, 0, sizeof(*app));
    return app;
}

/* What an app is called after: the image, or what the user calls it where the image has no name. */
static char *base_name(const char *ref, const char *image_name)
{
    cleanup_with(oci_ref_done) struct oci_ref oci = {0};
    if (oci_ref_is(ref) && oci_ref_parse(ref, &oci, NULL) == 0)
        return oci_ref_leaf(&oci);
    return xstrdup(image_name);
}

static int add_image(struct podimages *images, const char *ref, const struct aci_id *id,
                     const struct run_options *o, struct ac_pod_manifest *pod, struct err *err)
{
    struct reify_image image;
    if (podimages_get(images, id, &image, err) < 0)
        return -1;
    cleanup_free char *base = base_name(ref, image.manifest->name);
    char *name = o->name ? xstrdup(o->name) : reify_app_name(pod, base);
    struct ac_pod_app *app = add_app(pod);
    app->name = name;
    app->image_id = xstrdup(image.id);
    app->image_name = xstrdup(image.manifest->name);
    if (image.manifest->has_app) {
        ac_app_copy(&app->app, &image.manifest->app);
        app->has_app = true;
    }
    pod->napps++;
    return 0;
}

/* The manifest of a pod that is given as a list of images, which are fetched if that is needed. */
static int assemble(struct podimages *images, char **refs, size_t n, const struct run_options *o,
                    struct ac_pod_manifest **ret, struct err *err)
{
    cleanup_free struct aci_id *ids = xcalloc(n, sizeof(*ids));
    if (fetch_references(images->store, o->prepare.data_dir, &o->fetch, refs, n, ids, err) < 0)
        return -1;
    struct ac_pod_manifest *pod = xcalloc(1, sizeof(*pod));
    pod->ac_version = xstrdup(AC_VERSION);
    for (size_t i = 0; i < n; i++)
        if (add_image(images, refs[i], &ids[i], o, pod, err) < 0) {
            ac_pod_manifest_free(pod);
            return -1;
        }
    *ret = pod;
    return 0;
}

static int set_environment(struct ac_app *app, const char *text, struct err *err)
{
    const char *eq = strchr(text, '=');
    cleanup_free char *name = xstrndup(text, eq ? (size_t)(eq - text) : strlen(text));
    if (!eq || !ac_env_name_valid(name))
        return err_set(err, 0, "--set-env: \"%s\" is not NAME=VALUE", text);
    for (size_t i = 0; i < app->environment.n; i++)
        if (str_eq(app->environment.v[i].name, name)) {
            free(app->environment.v[i].value);
            app->environment.v[i].value = xstrdup(eq + 1);
            return 0;
        }
    struct ac_pairs *e = &app->environment;
    e->v = xreallocarray(e->v, e->n + 1, sizeof(*e->v));
    e->v[e->n++] = (struct ac_pair){.name = take_ptr(name), .value = xstrdup(eq + 1)};
    return 0;
}

static void push_exec(struct ac_strings *exec, const char *word)
{
    exec->v = xreallocarray(exec->v, exec->n + 2, sizeof(*exec->v));
    exec->v[exec->n++] = xstrdup(word);
    exec->v[exec->n] = NULL;
}

/* --exec replaces the program and its arguments; words behind "--" are added to what is there. */
static int set_exec(struct ac_pod_app *app, const struct run_options *o, struct err *err)
{
    if (o->exec) {
        if (!app->has_app) {
            app->app = (struct ac_app){
                .user = xstrdup("0"), .group = xstrdup("0"), .working_directory = xstrdup("/")};
            app->has_app = true;
        }
        for (size_t i = 0; i < app->app.exec.n; i++)
            free(app->app.exec.v[i]);
        app->app.exec.n = 0;
        push_exec(&app->app.exec, o->exec);
    }
    if (o->nargs && !app->has_app)
        return err_set(err, 0, "app %s: arguments need --exec, as nothing says what to execute",
                       app->name);
    for (int i = 0; i < o->nargs; i++)
        push_exec(&app->app.exec, o->args[i]);
    return 0;
}

static int add_volumes(struct ac_pod_manifest *pod, const struct run_options *o, struct err *err)
{
    for (size_t i = 0; i < o->volumes.n; i++) {
        struct ac_volume v;
        struct ac_fault fault;
        if (ac_volume_parse_text(o->volumes.v[i], &v, &fault) < 0)
            return err_set(err, 0, "--volume=%s: %s", o->volumes.v[i], fault.msg);
        for (size_t j = 0; j < pod->nvolumes; j++)
            if (str_eq(pod->volumes[j].name, v.name))
                return err_set(err, 0, "--volume=%s: the pod has a volume of this name already",
                               o->volumes.v[i]);
        pod->volumes = xreallocarray(pod->volumes, pod->nvolumes + 1, sizeof(v));
        pod->volumes[pod->nvolumes++] = v;
    }
    return 0;
}

/* Options change what the manifest says, so that the reified one is what runs. */
static int apply(struct ac_pod_manifest *pod, const struct run_options *o, struct err *err)
{
    if ((o->exec || o->nargs || o->name) && pod->napps != 1)
        return err_set(err, 0, "--exec, --name and arguments are for a pod of one app, not of %zu",
                       pod->napps);
    if (pod->napps == 1 && set_exec(&pod->apps[0], o, err) < 0)
        return -1;
    for (size_t i = 0; i < o->environment.n; i++)
        for (size_t j = 0; j < pod->napps; j++)
            if (set_environment(&pod->apps[j].app, o->environment.v[i], err) < 0)
                return -1;
    return add_volumes(pod, o, err);
}

static int load(struct podimages *images, char **operands, int n, const struct run_options *o,
                struct ac_pod_manifest **ret, struct err *err)
{
    if (is_manifest(operands[0])) {
        if (n > 1)
            return err_set(err, 0, "a pod manifest is run alone, not with %s", operands[1]);
        if (load_manifest(operands[0], ret, err) < 0)
            return -1;
        return fetch_pod_images(images->store, o->prepare.data_dir, &o->fetch, *ret, err);
    }
    return assemble(images, operands, (size_t)n, o, ret, err);
}

/* The parent of a detached pod: prints its UUID, with --wait-ready once the pod says so. */
static _Noreturn void parent(const char *uuid, int ready_fd)
{
    char c;
    if (ready_fd >= 0 && read(ready_fd, &c, 1) != 1) {
        (void)fprintf(
            stderr,
            "appc-vm: pod %s ended before all of its apps were ready: see appc-vm logs and "
            "appc-vm status\n",
            uuid);
        _exit(CLI_RUN_ERR);
    }
    printf("%s\n", uuid);
    (void)fflush(stdout);
    _exit(CLI_OK);
}

/* The child of the fork becomes the supervisor; *ret_ready_fd is where it says that all is ready.
 */
static int detach(const char *uuid, bool wait_ready, int *ret_ready_fd, struct err *err)
{
    int fds[2] = {-1, -1};
    if (wait_ready && pipe2(fds, O_CLOEXEC) < 0)
        return err_set(err, errno, "can't make a pipe");
    pid_t pid = fork();
    if (pid < 0)
        return err_set(err, errno, "can't detach");
    if (pid > 0) {
        if (wait_ready)
            close(fds[1]);
        parent(uuid, fds[0]);
    }
    if (wait_ready)
        close(fds[0]);
    *ret_ready_fd = fds[1];
    setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    return 0;
}

static int prepare(struct store *store, char **operands, int n, const struct run_options *o,
                   char uuid[AC_UUID_TEXT], struct plan *plan, struct err *err)
{
    cleanup_with(podimages_done) struct podimages images = {.store = store};
    struct ac_pod_manifest *pod = NULL;
    int r = load(&images, operands, n, o, &pod, err);
    if (r == 0)
        r = apply(pod, o, err);
    if (r == 0)
        r = prepare_pod(&images, pod, &o->prepare, uuid, plan, err);
    ac_pod_manifest_free(pod);
    return r;
}

static int run(char **operands, int n, const struct run_options *o, struct err *err)
{
    char uuid[AC_UUID_TEXT];
    struct plan plan;
    struct store *store;
    if (store_open(o->prepare.data_dir, STORE_READ, &store, err) < 0)
        return -1;
    /* From the look-up until the supervisor has the images open. */
    int r = store_hold(store, err);
    if (r == 0)
        r = prepare(store, operands, n, o, uuid, &plan, err);
    store_close(store);
    if (r < 0)
        return -1;
    if (o->uuid_file &&
        write_file_atomic_at(AT_FDCWD, o->uuid_file, uuid, strlen(uuid), 0644, false, err) < 0)
        return -1;
    if (o->prepare.detach && detach(uuid, o->wait_ready, &plan.ready_fd, err) < 0)
        return -1;
    return prepare_exec(&plan, err);
}

static void run_options_done(struct run_options *o)
{
    opt_list_done(&o->environment);
    opt_list_done(&o->volumes);
    opt_list_done(&o->apparmor);
    fetch_request_done(&o->fetch);
}

int cmd_run(const struct command *self, int argc, char **argv)
{
    cleanup_with(run_options_done) struct run_options o = {
        .exit_policy = "failure",
        .format = "text",
        .prepare = {.accel = "auto",
                    .prefix = "auto",
                    .ownership = "auto",
                    .scratch = SCRATCH_DEFAULT,
                    .grace_ms = GRACE_DEFAULT_MS},
    };
    struct prepare_options *p = &o.prepare;
    fetch_request_init(&o.fetch);
    const struct opt table[] = {
        {0, "dir", OPT_STRING, &o.dir, "DIR", "data directory"},
        {0, "accel", OPT_CHOICE, &p->accel, "auto|kvm|tcg", "accelerator (default auto)"},
        {'c', "cpus", OPT_U64, &p->cpus, "N", "virtual CPUs"},
        {'m', "memory", OPT_SIZE, &p->memory, "SIZE", "memory of the VM"},
        {0, "scratch", OPT_SIZE, &p->scratch, "SIZE",
         "size of the scratch disk (default 8G, 0: in memory)"},
        {'e', "set-env", OPT_LIST, &o.environment, "NAME=VALUE", "environment of all apps"},
        {0, "exec", OPT_STRING, &o.exec, "PROGRAM", "program instead of the image's"},
        {0, "name", OPT_STRING, &o.name, "NAME", "name of the app"},
        {0, "volume", OPT_LIST, &o.volumes, "NAME,kind=…", "a volume, in appc's text form"},
        {0, "strict", OPT_FLAG, &p->strict, NULL,
         "refuse a pod with an isolator that would be ignored"},
        {0, "dry-run", OPT_FLAG, &p->dry_run, NULL,
         "report what becomes of each isolator, start no app"},
        {0, "format", OPT_CHOICE, &o.format, "text|json", "how --dry-run prints"},
        {0, "strict-volumes", OPT_FLAG, &p->strict_volumes, NULL,
         "refuse mount points without a volume"},
        {0, "allow-symlinks", OPT_FLAG, &p->allow_symlinks, NULL,
         "follow symbolic links in the sources of host volumes"},
        {0, "volume-ownership", OPT_CHOICE, &p->ownership, "auto|caller|xattr|host",
         "who files of host volumes belong to in the pod (default auto)"},
        {0, "apparmor-profile", OPT_LIST, &o.apparmor, "FILE",
         "load AppArmor profiles into the pod's kernel"},
        {0, "hosts-file", OPT_STRING, &p->hosts_file, "FILE", "/etc/hosts of all apps"},
        {0, "resolv-conf", OPT_STRING, &p->resolv_conf, "FILE", "/etc/resolv.conf of all apps"},
        {0, "key-file", OPT_STRING, &p->key_file, "FILE",
         "master key of the pods' signatures, instead of the data directory's"},
        {0, "hostname", OPT_STRING, &p->hostname, "NAME", "host name of the pod"},
        {0, "exit-policy", OPT_CHOICE, &o.exit_policy, "failure|any",
         "an app that fails (or any that ends) stops the pod"},
        {0, "grace-ms", OPT_U64, &p->grace_ms, "MS", "from SIGTERM to SIGKILL (default 10000)"},
        {'d', "detach", OPT_FLAG, &p->detach, NULL, "run in the background, print the UUID"},
        {0, "wait-ready", OPT_FLAG, &o.wait_ready, NULL,
         "with --detach: return when all apps run and are ready"},
        {0, "prefix", OPT_CHOICE, &p->prefix, "auto|always|never",
         "app names before lines of output (auto: on a terminal)"},
        {0, "uuid-file", OPT_STRING, &o.uuid_file, "FILE", "write the pod's UUID to a file"},
        FETCH_OPTIONS(o.fetch),
        {0, "debug", OPT_FLAG, &p->debug, NULL, "show the serial console and the VMM's log"},
        {0},
    };
    struct err err;
    cleanup_free char *data_dir = NULL;
    int n, rest, r = cli_parse_rest(self, table, argc, argv, 1, -1, &n, &rest);
    if (r >= 0)
        return r == CLI_OK ? r : CLI_RUN_ERR;
    o.args = argv + rest;
    o.nargs = argc - rest;
    p->apparmor = o.apparmor.v;
    p->napparmor = o.apparmor.n;
    p->report_json = str_eq(o.format, "json");
    p->stop_on_exit = str_eq(o.exit_policy, "any");
    if (p->grace_ms > UINT32_MAX)
        p->grace_ms = UINT32_MAX;
    if (paths_data_dir(o.dir, &data_dir, &err) == 0) {
        p->data_dir = data_dir;
        run(argv + 1, n, &o, &err);
    }
    return cli_fail(&err, CLI_RUN_ERR);
}
