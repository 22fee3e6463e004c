<?php
// Receives Ordergate's webhooks. PHP 8, no packages:
//   php -S 127.0.0.1:${PORT:-9000} receiver.php

declare(strict_types=1);

const TOLERANCE = 5 * 60; // seconds

/** Whether the body was signed with our secret, and lately. */
function verified(string $key, string $body): bool
{
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if (!ctype_digit($timestamp) || abs(time() - (int) $timestamp) > TOLERANCE) {
        return false;
    }
    $want = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    // While a secret is replaced there are two signatures, with a blank between.
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $given) {
        if (hash_equals($want, $given)) {
            return true;
        }
    }
    return false;
}

/** Whether no event of that id was handled yet. Keep the ids in your database, in the transaction that handles the event. */
function first(string $id): bool
{
    $folder = sys_get_temp_dir() . '/webhooks-' . ($_SERVER['SERVER_PORT'] ?? '9000');
    $file = $folder . '/' . hash('sha256', $id);
    if (!is_dir($folder)) {
        @mkdir($folder, 0700);
    }
    $made = @fopen($file, 'x'); // fails if there is one
    if ($made === false && !file_exists($file)) {
        throw new RuntimeException("cannot write $file"); // 500: the event comes again
    }
    return $made !== false;
}

$key = base64_decode(preg_replace('/^whsec_/', '', (string) getenv('WEBHOOK_SECRET')), true);
if ($key === false || $key === '') {
    error_log('WEBHOOK_SECRET is not whsec_ and Base64');
    http_response_code(500);
    return true;
}
if (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) !== '/hook') {
    http_response_code(404);
    return true;
}
if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    http_response_code(405);
    return true;
}
$body = (string) file_get_contents('php://input');
if (!verified($key, $body)) {
    http_response_code(401);
    return true;
}
$event = json_decode($body, true, 512, JSON_THROW_ON_ERROR);
if (first($event['id'])) {
    file_put_contents('php://stdout', "{$event['id']} {$event['type']} " . ($event['subject'] ?? '-') . "\n");
}
http_response_code(204);
