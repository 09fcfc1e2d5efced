/* Firmware that answers MLPerf Tiny's benchmark runner over the UART, in place of main.c.
 *
 * Commands end with '%' and have words between spaces; each answer ends with the line "m-ready". The
 * messages are those of the runner in mlcommons/tiny, benchmark/runner, and of its device interface,
 * benchmark/api (2026). The test data lie in the staging region. */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "cycles.h"
#include "model.h"
#include "port/port.h"
#include "runner.h"

enum { COMMAND_BYTES = 128, DEFAULT_WARMUPS = 10, LINE_BYTES = 8 };

extern uint8_t __staging_start[];

/* The input as the runner sent it, and as the model takes it; `expected` bytes are to come. */
#define sent __staging_start
#define values ((int8_t *)(__staging_start + RUNNER_BYTES))

static uint32_t received;
static uint32_t expected;

/* ---- Output ---- */

static void print(const char *text)
{
    while (*text)
        port_send((uint8_t)*text++);
}

static void print_number(uint64_t number)
{
    char digits[21];
    char *first = digits + sizeof digits - 1;
    *first = '\0';
    do
        *--first = (char)('0' + number % 10u);
    while (number /= 10u);
    print(first);
}

/* Prints a real number with three decimals, rounded. */
static void print_real(float value)
{
    if (value < 0)
        print("-");
    uint64_t thousandths = (uint64_t)((value < 0 ? -value : value) * 1000.0f + 0.5f);
    print_number(thousandths / 1000u);
    print(".");
    for (uint32_t unit = 100; unit > 0; unit /= 10)
        port_send((uint8_t)('0' + thousandths / unit % 10u));
}

static void print_hex(uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    port_send((uint8_t)digits[byte >> 4]);
    port_send((uint8_t)digits[byte & 15]);
}

/* ---- Commands ---- */

/* Cuts the next word off the text; NULL at its end. */
static char *next_word(char **text)
{
    char *start = *text + strspn(*text, " \r\n");
    size_t length = strcspn(start, " \r\n");
    if (length == 0)
        return NULL;
    *text = start + length + (start[length] != '\0');
    start[length] = '\0';
    return start;
}

/* Reads a decimal number; false for anything else, and beyond 99999999. */
static bool parse_number(const char *word, uint32_t *number)
{
    *number = 0;
    size_t digits = strlen(word);
    if (digits == 0 || digits > 8)
        return false;
    for (; *word; word++) {
        if (*word < '0' || *word > '9')
            return false;
        *number = *number * 10u + (uint32_t)(*word - '0');
    }
    return true;
}

/* The value of a hexadecimal digit; -1 for another character. */
static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20; /* lower case */
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static void begin_load(const char *word)
{
    uint32_t bytes;
    if (!word || !parse_number(word, &bytes) || bytes == 0 || bytes > RUNNER_BYTES) {
        print("e-[db load: 1 to ");
        print_number(RUNNER_BYTES);
        print(" bytes]\r\n");
        return;
    }
    received = 0;
    expected = bytes;
    print("m-[Expecting ");
    print_number(bytes);
    print(" bytes]\r\n");
}

static void load_bytes(const char *digits)
{
    if (strlen(digits) % 2 != 0) {
        print("e-[Insufficent number of hex digits]\r\n"); /* spelled so by the public interface */
        return;
    }
    for (; *digits && received < expected; digits += 2) {
        int high = hex_value(digits[0]);
        int low = hex_value(digits[1]);
        if (high < 0 || low < 0) {
            print("e-[Invalid hex digit]\r\n");
            return;
        }
        sent[received++] = (uint8_t)(high << 4 | low);
        if (received == expected)
            print("m-load-done\r\n");
    }
}

static void print_bytes(void)
{
    for (uint32_t i = 0; i < received; i++) {
        print(i % LINE_BYTES == 0 ? "m-buffer-" : "-");
        print_hex(sent[i]);
        if (i % LINE_BYTES == LINE_BYTES - 1 || i == received - 1)
            print("\r\n");
    }
}

static void buffer(char *text)
{
    const char *word = next_word(&text);
    if (!word)
        print("e-[Command 'db' requires a subcommand]\r\n");
    else if (strcmp(word, "load") == 0)
        begin_load(next_word(&text));
    else if (strcmp(word, "print") == 0)
        print_bytes();
    else
        load_bytes(word);
}

/* ---- Inference ---- */

#if RUNNER_TABLE

static void convert_input(void)
{
    for (uint32_t i = 0; i < RUNNER_BYTES; i++)
        values[i] = runner_table[sent[i]];
}

#else

static float sent_real(uint32_t index)
{
    float real;
    memcpy(&real, sent + index * sizeof real, sizeof real);
    return real;
}

static void convert_input(void)
{
    for (uint32_t i = 0; i < MODEL_INPUT_BYTES; i++) {
        float steps = sent_real(i) / RUNNER_INPUT_SCALE;
        steps = steps < -256.0f ? -256.0f : steps > 256.0f ? 256.0f : steps;
        int32_t value = (int32_t)(steps < 0 ? steps - 0.5f : steps + 0.5f) + RUNNER_INPUT_ZERO;
        values[i] = (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
    }
}

#endif

static float output_real(int8_t value)
{
    return (float)(value - RUNNER_OUTPUT_ZERO) * RUNNER_OUTPUT_SCALE;
}

static void results(void)
{
    static int8_t outputs[MODEL_OUTPUT_BYTES];
    model_get_outputs(outputs);
    print("m-results-[");
#if RUNNER_TABLE
    for (uint32_t i = 0; i < MODEL_OUTPUT_BYTES; i++) {
        if (i > 0)
            print(",");
        print_real(output_real(outputs[i]));
    }
#else
    /* An autoencoder: the mean squared error of its reconstruction. */
    float sum = 0;
    for (uint32_t i = 0; i < MODEL_OUTPUT_BYTES; i++) {
        float error = output_real(outputs[i]) - sent_real(i);
        sum += error * error;
    }
    print_real(sum / MODEL_OUTPUT_BYTES);
#endif
    print("]\r\n");
}

static void timestamp(void)
{
    struct counts now = counter_read();
    uint64_t cycles = now.model_cycles ? now.model_cycles : now.count;
    print("m-lap-us-");
    print_number(cycles * 1000000u / RUNNER_CLOCK_HZ);
    print("\r\n");
}

/* The input is set before each inference, because layers use its memory: all give the same result.
 * Reading the counter between inferences lets none of its wraps pass unseen. */
static void infer(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        model_set_inputs(values);
        model_run();
        (void)counter_read();
    }
}

static void infer_command(char *text)
{
    uint32_t count = 1;
    uint32_t warmups = DEFAULT_WARMUPS;
    const char *word = next_word(&text);
    if (word && (!parse_number(word, &count) || count == 0)) {
        print("e-[Inference iterations must be >0]\r\n");
        return;
    }
    word = word ? next_word(&text) : NULL;
    if (word && !parse_number(word, &warmups)) {
        print("e-[Inference warmup must be >=0]\r\n");
        return;
    }
    if (received != RUNNER_BYTES) {
        print("e-[Input has ");
        print_number(received);
        print(" bytes, expected ");
        print_number(RUNNER_BYTES);
        print("]\r\n");
        return;
    }
    convert_input();
    model_reset();
    print("m-warmup-start-");
    print_number(warmups);
    print("\r\n");
    infer(warmups);
    print("m-warmup-done\r\nm-infer-start-");
    print_number(count);
    print("\r\n");
    timestamp();
    infer(count);
    timestamp();
    print("m-infer-done\r\n");
    results();
}

static void help(void)
{
    print("hil-compress\r\n\r\n"
          "help         : Print this information\r\n"
          "name         : Print the name of the device\r\n"
          "profile      : Print the model\r\n"
          "timestamp    : Print the time in microseconds\r\n"
          "db load N    : Begin an input of N bytes\r\n"
          "db HH[HH]*   : The next bytes of the input\r\n"
          "db print     : Print the input\r\n"
          "infer N [W]  : N inferences after W to warm up\r\n"
          "results      : Print the last result\r\n");
}

static void execute(char *text)
{
    const char *word = next_word(&text);
    if (!word)
        return;
    if (strcmp(word, "name") == 0)
        print("m-name-dut-[hil-compress]\r\n");
    else if (strcmp(word, "profile") == 0)
        print("m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\nm-model-[" RUNNER_MODEL "]\r\n");
    else if (strcmp(word, "timestamp") == 0)
        timestamp();
    else if (strcmp(word, "help") == 0)
        help();
    else if (strcmp(word, "db") == 0)
        buffer(text);
    else if (strcmp(word, "infer") == 0)
        infer_command(text);
    else if (strcmp(word, "results") == 0)
        results();
    else {
        print("e-[Unknown command: ");
        print(word);
        print("]\r\n");
    }
}

int main(void)
{
    (void)counter_kind(); /* starts the counter */
    print("m-init-done\r\nm-ready\r\n");
    for (;;) {
        char command[COMMAND_BYTES];
        uint32_t length = 0;
        char byte;
        while ((byte = (char)port_receive()) != '%')
            if (length < COMMAND_BYTES - 1u)
                command[length++] = byte;
        command[length] = '\0';
        execute(command);
        print("m-ready\r\n");
    }
}
