#include "wire.h"

#include "port/port.h"

enum { HEADER_BYTES = 4, CRC_BYTES = 4 };
enum { MAX_BODY_BYTES = HEADER_BYTES + 4 * WIRE_MAX_WORDS + CRC_BYTES };

uint32_t wire_crc32(uint32_t crc, const void *data, size_t size)
{
    /* Entry i is the CRC of the nibble i; 0xEDB88320 is the reflected IEEE 802.3 polynomial. */
    static const uint32_t nibbles[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
        0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
        0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    const uint8_t *bytes = data;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ nibbles[crc & 15u];
        crc = (crc >> 4) ^ nibbles[crc & 15u];
    }
    return ~crc;
}

static uint32_t get_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void put_u32(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

/* Receives one non-empty frame and decodes COBS. Returns the number of body bytes, of which only
 * the first MAX_BODY_BYTES are stored; 0 if the frame ends within a COBS block. */
static uint32_t receive_body(uint8_t *body)
{
    uint32_t size = 0;
    uint32_t left = 0; /* bytes before the next code byte */
    int zero_due = 0;  /* the block that has just ended encodes a zero */
    uint8_t byte;
    do
        byte = port_receive();
    while (byte == 0);
    for (;; byte = port_receive()) {
        if (byte == 0)
            return left == 0 ? size : 0;
        if (left > 0) {
            left--;
        } else {
            int put = zero_due;
            left = byte - 1u;
            zero_due = byte != 0xFF;
            if (!put)
                continue;
            byte = 0;
        }
        if (size < MAX_BODY_BYTES)
            body[size] = byte;
        if (size <= MAX_BODY_BYTES)
            size++;
    }
}

enum wire_error wire_receive(struct wire_request *request)
{
    uint8_t body[MAX_BODY_BYTES];
    uint32_t size = receive_body(body);
    request->sequence = 0;
    if (size < HEADER_BYTES + CRC_BYTES || size > MAX_BODY_BYTES)
        return WIRE_BAD_CRC;
    request->type = body[1];
    request->sequence = (uint16_t)(body[2] | body[3] << 8);
    size -= CRC_BYTES;
    if (wire_crc32(0, body, size) != get_u32(body + size))
        return WIRE_BAD_CRC;
    if (body[0] != WIRE_VERSION)
        return WIRE_BAD_VERSION;
    if (size % 4u != 0)
        return WIRE_BAD_ARGUMENTS;
    request->count = (size - HEADER_BYTES) / 4u;
    for (uint32_t i = 0; i < request->count; i++)
        request->words[i] = get_u32(body + HEADER_BYTES + 4u * i);
    return WIRE_OK;
}

/* Sends a body in COBS; it is so short that one block is enough between two zeros. */
static void send_body(const uint8_t *body, uint32_t size)
{
    _Static_assert(MAX_BODY_BYTES < 254, "a COBS block holds at most 254 bytes");
    for (uint32_t start = 0; start <= size;) {
        uint32_t end = start;
        while (end < size && body[end] != 0)
            end++;
        port_send((uint8_t)(end - start + 1u));
        for (; start < end; start++)
            port_send(body[start]);
        start++; /* the zero that the next code byte encodes */
    }
    port_send(0);
}

void wire_send(enum wire_type type, uint16_t sequence, const uint32_t *words, uint32_t count)
{
    uint8_t body[MAX_BODY_BYTES];
    uint32_t size = HEADER_BYTES + 4u * count;
    body[0] = WIRE_VERSION;
    body[1] = (uint8_t)type;
    body[2] = (uint8_t)sequence;
    body[3] = (uint8_t)(sequence >> 8);
    for (uint32_t i = 0; i < count; i++)
        put_u32(body + HEADER_BYTES + 4u * i, words[i]);
    put_u32(body + size, wire_crc32(0, body, size));
    port_send(0); /* ends what noise may have begun at the host */
    send_body(body, size + CRC_BYTES);
}
