BeforeDiscovery {
    $browser = Get-Command chromium, chromium-browser, google-chrome -ErrorAction Ignore | Select-Object -First 1
}
BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    # Writes </pre><script>&, an escape and a line feed to COM1; cli; hlt
    $code = 'ba f8 03 ' + (([Text.Encoding]::ASCII.GetBytes("</pre><script>&`e`n") | ForEach-Object { 'b0 {0:x2} ee' -f $_ }) -join ' ') + ' fa f4'
    $guest = Save-TestFile 'markup.bin' ([byte[]]($code.Split(' ') | ForEach-Object { [Convert]::ToByte($_, 16) }))
    $results = @(
        Invoke-VMNanobenchmark -Engine DecodedCache, BinaryTranslation -Operation empty, in, pgfault -Iterations 500 -Repeat 1
        Compare-VMEngine -FlatBinary $guest -Memory 4MB -Engine DecodedCache, BinaryTranslation
        [X86Virt.Engine.ExitCount]::new('PortIo', 0x80, 'port 0x80', 12345)
        [pscustomobject]@{ Thing = 'a & b'; Number = 1234567 }
    )
    function Read-Page([string] $Path) { [xml][IO.File]::ReadAllText($Path) }
}

Describe 'Figures beside published ones' {
    It 'are bars in pairs, stacked where they are parts of a sum, with a table and how to get them again' {
        $image = [IO.Path]::Combine($TestDrive, 'nano.bin')
        $null = Export-VMBenchmarkImage -Path $image
        $run = Compare-VMEngine -Kernel $image -Memory 16MB -CommandLine 'operations=in,syscall iterations=100' -Engine BinaryTranslation -Paging Shadow
        $predictions = @(Compare-VMNanobenchmark syscall, in; $run | Compare-VMBootOverhead)
        $path = [IO.Path]::Combine($TestDrive, 'predictions.html')
        $null = $predictions | Export-VMReport -Path $path
        $page = Read-Page $path
        @($page.html.body.section | ForEach-Object { $_.h2 }) | Should -Be 'Nanobenchmarks, predicted and published', 'Boot and halt, predicted and published'
        $page.SelectNodes('//*[local-name()="svg"]').Count | Should -Be 2
        $text = $page.DocumentElement.InnerText
        $text | Should -Match 'Compare-VMNanobenchmark'
        $text | Should -Match '2,308'
        $text | Should -Match 'hardware, predicted'
        $text | Should -Match 'ptemod'
        $lines = @($predictions | Show-VMReport -Width 70)
        @($lines | Where-Object { $_.Length -gt 70 }).Count | Should -Be 0
    }
}

Describe 'Export-VMReport' {
    BeforeAll {
        $path = [IO.Path]::Combine($TestDrive, 'report.html')
        $files = @($results | Export-VMReport -Path $path -Title 'Figures < facts' -Png)
        $page = Read-Page $path
        $text = $page.DocumentElement.InnerText
    }

    It 'writes one well-formed page with a chart for each kind of result' {
        $files[0].FullName | Should -Be $path
        $page.html.head.title | Should -Be 'Figures < facts'
        $page.SelectNodes('//*[local-name()="svg"]').Count | Should -Be 6
        @($page.html.body.section | ForEach-Object { $_.h2 }).Count | Should -Be 4
    }

    It 'shows what was measured' {
        $text | Should -Match 'pgfault'
        $text | Should -Match 'BinaryTranslation Shadow'
        $text | Should -Match '12,345'
        $text | Should -Match 'a & b'
        $text | Should -Match '1,234,567'
        $instructions = ($results | Where-Object { $_ -is [X86Virt.PowerShell.EngineMeasurement] })[0].Instructions
        @($page.SelectNodes('//td') | ForEach-Object { $_.InnerText }) | Should -Contain "$instructions"
    }

    It 'escapes what a guest writes' {
        $page.SelectNodes('//script').Count | Should -Be 0
        $page.SelectSingleNode('//details/pre').InnerText | Should -Match ([regex]::Escape("</pre><script>&`u{241b}"))
    }

    It 'tells how to measure it again, and on what it was measured' {
        $text | Should -Match 'Invoke-VMNanobenchmark -Engine DecodedCache, BinaryTranslation -Operation .empty., .in., .pgfault. -Iterations 500 -Repeat 1'
        $text | Should -Match 'Compare-VMEngine -FlatBinary'
        $text | Should -Match 'Logical processors'
    }

    It 'writes a picture for each chart' {
        $files.Count | Should -Be 7
        foreach ($file in $files | Select-Object -Skip 1) {
            $file.Name | Should -Match '^report-\d\.png$'
            [IO.File]::ReadAllBytes($file.FullName)[1..3] | Should -Be @(0x50, 0x4e, 0x47)
        }
    }

    It 'writes nothing with -WhatIf' {
        $other = [IO.Path]::Combine($TestDrive, 'other.html')
        $results | Export-VMReport -Path $other -WhatIf
        [IO.File]::Exists($other) | Should -BeFalse
    }

    It 'says that there is nothing to report, or that a file cannot be written' {
        { @() | Export-VMReport -Path $path -ErrorAction Stop } | Should -Throw -ErrorId 'NothingToReport,X86Virt.PowerShell.ExportVMReport'
        { $results | Export-VMReport -Path ([IO.Path]::Combine($TestDrive, 'no', 'such.html')) -ErrorAction Stop } | Should -Throw -ErrorId 'FileNotWritten,X86Virt.PowerShell.ExportVMReport'
    }

    It 'opens in a browser, which complains about nothing' -Skip:(-not $browser) -Tag Slow {
        $browser = Get-Command chromium, chromium-browser, google-chrome -ErrorAction Ignore | Select-Object -First 1
        $profile = [IO.Path]::Combine($TestDrive, 'browser')
        $errors = [IO.Path]::Combine($TestDrive, 'browser.log')
        $dom = & $browser.Source --headless --no-sandbox --disable-gpu --disable-quic --disable-background-networking --no-first-run "--user-data-dir=$profile" --enable-logging=stderr --dump-dom "file://$path" 2> $errors
        ([regex]::Matches("$dom", '<svg ')).Count | Should -Be 6
        [IO.File]::ReadAllText($errors) | Should -Not -Match 'CONSOLE'
    }
}

Describe 'Show-VMReport' {
    It 'shows the charts in lines of text that fit the width' {
        $lines = @($results | Show-VMReport -Width 80)
        @($lines | Where-Object { $_ -eq '' }).Count | Should -Be 6
        @($lines | Where-Object { $_.Length -gt 80 }).Count | Should -Be 0
        @($lines | Where-Object { $_ -match '^PortIo port 0x80 \|#+ 12.3 k$' }).Count | Should -Be 1
    }
}

Describe 'Drawing' {
    It 'costs nothing where there is nothing to draw: its libraries are loaded with the first chart' {
        $x86virt = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'x86virt'))
        if ($IsWindows) { $x86virt += '.cmd' }
        $loaded = & $x86virt -Command 'Import-Module ./module/X86Virt.psd1; $null = New-VirtualMachine -Name test-none -Memory 1MB; [AppDomain]::CurrentDomain.GetAssemblies().ForEach({ $_.GetName().Name })'
        $loaded | Should -Contain 'X86Virt.Engine'
        $loaded | Should -Not -Contain 'ScottPlot'
        $loaded | Should -Not -Contain 'SkiaSharp'
    }
}
