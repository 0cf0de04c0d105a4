// Starts and ends the server that is measured; see line_load.h.
#define _GNU_SOURCE
#include "line_load.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/// Reads what the server says until it names its port; 0 when it ends without.
static uint16_t read_port(int from) {
    static const char before[] = "listening on ";
    char said[4096];
    size_t length = 0;
    while (length < sizeof said - 1) {
        ssize_t count = read(from, said + length, sizeof said - 1 - length);
        if (count <= 0) return 0;
        length += count;
        said[length] = 0;
        char *found = strstr(said, before);
        if (!found || !strchr(found, '\n')) continue;
        char *colon = strchr(found, ':');
        return colon ? (uint16_t)atoi(colon + 1) : 0;
    }
    return 0;
}

bool line_server_start(char *const arguments[], const char *log, struct line_server *server) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, log, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    double start = now();
    int failed = posix_spawn(&server->pid, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    server->port = failed ? 0 : read_port(ends[0]);
    server->seconds = now() - start;
    // What it says later is nobody's business, but it must be able to say it: the pipe stays open.
    if (server->port == 0) {
        close(ends[0]);
        if (!failed) line_server_stop(server, 9);
        return false;
    }
    return true;
}

void line_server_stop(const struct line_server *server, int signal) {
    kill(server->pid, signal);
    waitpid(server->pid, NULL, 0);
}
