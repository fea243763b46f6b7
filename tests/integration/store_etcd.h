/* What the etcd tests share: one server for the whole program. */
#ifndef TESTS_INTEGRATION_STORE_ETCD_H
#define TESTS_INTEGRATION_STORE_ETCD_H

#include "tests/lib/etcd.h"

/* Runs what happens when etcd does not behave: number of failures. */
int store_etcd_faults_run(struct etcd_server *server);

#endif /* TESTS_INTEGRATION_STORE_ETCD_H */
