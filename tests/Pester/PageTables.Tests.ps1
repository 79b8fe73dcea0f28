BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    $nested = @{ Engine = 'HardwareAssist'; Paging = 'Nested' }
    $shadow = @{ Engine = 'HardwareAssist'; Paging = 'Shadow' }
    function Get-View($Objects) {
        $text = ($Objects | Out-String -Width 120) -replace '\x1b\[[0-9;]*m'
        foreach ($line in $text.Split("`n")) { $line.TrimEnd().Length | Should -BeLessOrEqual 120 }
        $text
    }
}

Describe 'Get-NestedPageTable' {
    AfterEach { Remove-TestMachine }

    It 'shows what the guest has touched as regions' {
        $vm = New-PrimeMachine test-nested 97 $nested
        Get-NestedPageTable $vm | Should -BeNullOrEmpty
        Start-VM $vm; Wait-VM $vm -Timeout 60
        $regions = @(Get-NestedPageTable $vm)
        $regions | ForEach-Object { $_.Pages * $_.PageSize | Should -Be $_.Length; $_.Access | Should -Be 'rwx' }
        $page = Get-NestedPageTable $vm -Address 0x100000
        $page.GuestAddress | Should -BeLessOrEqual 0x100000
        $page.Pages | Should -Be 1
        $page.Accessed | Should -BeTrue
        Get-View $regions | Should -Match 'test-nested +0x100000 +0x40100000 +0x1000 +4 KiB +1 rwx'
    }

    It 'lists what was stored to since the D bits were cleared' {
        $vm = New-PrimeMachine test-dirty 97 $nested
        Clear-NestedPageTable $vm -LargestPage 4KB
        Step-VM $vm -Count 20
        @(Get-NestedPageTable $vm).PageSize | Sort-Object -Unique | Should -Be 4KB
        @(Get-NestedPageTable $vm -Dirty).Count | Should -BeGreaterThan 0
        Clear-NestedPageTable $vm -DirtyBit
        Get-NestedPageTable $vm -Dirty | Should -BeNullOrEmpty
        Get-NestedPageTable $vm -Address 0x100000 -Dirty | Should -BeNullOrEmpty
    }

    It 'refuses <Line> with <Id>' -ForEach @(
        @{ Line = 'Get-NestedPageTable test-error'; Id = 'NoNestedPageTables,X86Virt.PowerShell.GetNestedPageTable'; Engine = 'BinaryTranslation'; Says = '*test-error*BinaryTranslation*Set-VirtualMachine*' }
        @{ Line = 'Clear-NestedPageTable test-error'; Id = 'NoNestedPageTables,X86Virt.PowerShell.ClearNestedPageTable'; Engine = 'Interpreter'; Says = '*test-error*Walk*' }
        @{ Line = 'Get-NestedPageTable test-error -Address 0xfee00000'; Id = 'NestedPageNotFound,X86Virt.PowerShell.GetNestedPageTable'; Engine = 'HardwareAssist'; Says = '*0xfee00000*test-error*' }
        @{ Line = 'Get-ShadowPageTable test-error'; Id = 'NoShadowPageTables,X86Virt.PowerShell.GetShadowPageTable'; Engine = 'HardwareAssist'; Says = '*test-error*Nested*-Paging Shadow*' }
        @{ Line = 'Clear-NestedPageTable test-error -DirtyBit -LargestPage 2MB'; Id = 'AmbiguousClear,X86Virt.PowerShell.ClearNestedPageTable'; Engine = 'HardwareAssist'; Says = '*-DirtyBit*' }
    ) {
        $null = New-TestMachine test-error $TestGuest.Spin @{ Engine = $Engine }
        { & ([scriptblock]::Create("$Line -ErrorAction Stop")) } | Should -Throw -ErrorId $Id -ExpectedMessage $Says
    }
}

Describe 'Get-ShadowPageTable' {
    AfterEach { Remove-TestMachine }

    It 'shows the shadows of the tables in use, and their entries' {
        $vm = New-PrimeMachine test-shadow 97 $shadow
        Step-VM $vm -Count 20
        $tables = @(Get-ShadowPageTable $vm)
        $tables.Name | Should -Be @('PML4', 'PDPT', 'PD')
        $tables[0].GuestTable | Should -Be (Get-VMRegister $vm -Register CR3).Value
        $tables[0].Traced | Should -BeTrue
        $tables[0].HostTables.Count | Should -Be 1
        $entries = @(Get-ShadowPageTable $vm -Level 2 -Entry)
        $entries[0].PageSize | Should -Be 2MB
        $entries[0].HostEntry | Should -Not -BeNullOrEmpty
        @(Get-ShadowPageTable $vm -GuestTable (Get-VMRegister $vm -Register CR3).Value).Number | Should -Be $tables[0].Number
        Get-View $tables | Should -Match 'test-shadow +\d+ +0x[0-9a-f]+ +PML4 .*True +InUse +0x'
        Get-View $entries | Should -Match '2 MiB'
    }

    It 'works on every engine with -Paging Shadow' {
        foreach ($engine in 'Interpreter', 'DecodedCache', 'BinaryTranslation') {
            $vm = New-PrimeMachine "test-$engine" 97 @{ Engine = $engine; Paging = 'Shadow' }
            Step-VM $vm -Count 20
            @(Get-ShadowPageTable $vm).Name | Should -Be @('PML4', 'PDPT', 'PD')
        }
    }
}

Describe 'Resolve-VMAddress beside what the monitor keeps' {
    AfterEach { Remove-TestMachine }

    It 'shows the shadow' {
        $vm = New-PrimeMachine test-resolve 97 $shadow
        Step-VM $vm -Count 20
        $levels = @(Resolve-VMAddress $vm -Address 0x100000)
        $levels.Shadow.Table | Should -Be @(Get-ShadowPageTable $vm).Number
        $levels[-1].Shadow.PhysicalAddress | Should -Be 0
        $levels[-1].HostAddress | Should -BeNullOrEmpty
        Get-View ($levels | Format-Table -View SideBySide) | Should -Match 'PDE +0x[0-9a-f]+ +0x100000 +0x0 '
    }

    It 'shows the nested walks' {
        $vm = New-PrimeMachine test-resolve 97 $nested
        Step-VM $vm -Count 20
        $levels = @(Resolve-VMAddress $vm -Address 0x100000)
        ($levels | Measure-Object References -Sum).Sum | Should -Be 19
        $levels[-1].HostAddress | Should -Be 0x40100000
        Get-View ($levels | Format-Table -View SideBySide) | Should -Match 'PDE +0x[0-9a-f]+ +0x100000 +0x4[0-9a-f]+ +0x40100000 +9'
    }
}

Describe 'Get-VMTlb' {
    AfterEach { Remove-TestMachine }

    It 'has the guest and the monitor apart on HardwareAssist' {
        $vm = New-PrimeMachine test-tlb 97 $nested
        Step-VM $vm -Count 50
        $tlbs = @(Get-VMTlb $vm)
        $tlbs.Tlb | Should -Be @('guest', 'monitor')
        $tlbs[0].Misses | Should -BeGreaterThan 0
        $tlbs[0].References | Should -BeGreaterThan $tlbs[0].Walks
        $tlbs[0].References | Should -BeLessOrEqual (3 * $tlbs[0].Walks)
        $tlbs[0].NestedReferences | Should -BeGreaterThan $tlbs[0].NestedWalks
        Get-View $tlbs | Should -Match '(?s)VMName.*Flushes.*test-tlb +guest +\d+ '
    }

    It 'is one on other engines' {
        $vm = New-PrimeMachine test-tlb 97 @{ Engine = 'Interpreter' }
        Step-VM $vm -Count 50
        $tlb = Get-VMTlb $vm
        $tlb.Tlb | Should -Be 'processor'
        $tlb.Entries | Should -Be $tlb.LargeEntries
    }
}

Describe 'Export-VMMemoryMap' {
    AfterEach { Remove-TestMachine }

    It 'draws what nested page tables map' {
        $vm = New-PrimeMachine test-map 97 $nested
        Step-VM $vm -Count 50
        $path = [IO.Path]::Combine($TestDrive, 'map.svg')
        (Export-VMMemoryMap $vm -Path $path).FullName | Should -Be $path
        $svg = [xml][IO.File]::ReadAllText($path)
        $texts = @($svg.svg.text | ForEach-Object { "$($_.'#text')" })
        $texts | Should -Contain 'nested page of 4 KiB, dirty'
        $texts | Should -Contain 'RAM that was not touched'
        $texts | Should -Contain 'device'
        @($svg.svg.rect | Where-Object { "$($_.title)" -like '0x100000 to *nested page of 4 KiB' }).Count | Should -Be 1
    }

    It 'refuses another format' {
        $vm = New-TestMachine test-map $TestGuest.Spin
        { Export-VMMemoryMap $vm -Path map.png -ErrorAction Stop } | Should -Throw -ErrorId 'UnknownMapFormat,X86Virt.PowerShell.ExportVMMemoryMap' -ExpectedMessage '*map.png*.svg*'
    }
}
