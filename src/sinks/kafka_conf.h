/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka.brokers and kafka.settings as librdkafka's configurations for the producer and for reading
 * back.
 */
#ifndef TT_SINKS_KAFKA_CONF_H
#define TT_SINKS_KAFKA_CONF_H

#include <librdkafka/rdkafka.h>

#include "config/config.h"

/* Both have the user's settings; what the sink's promises rest on is set over them, and a user who
 * sets that is told. -EINVAL with *ret_error: which setting, and librdkafka's reason. */
int kafka_conf_producer(const struct config *c, rd_kafka_conf_t **ret_conf,
			struct config_error *ret_error);
int kafka_conf_consumer(const struct config *c, rd_kafka_conf_t **ret_conf,
			struct config_error *ret_error);

#endif
